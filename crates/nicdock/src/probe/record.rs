//! What came of each step so far.

use super::found::Target;
use super::judge::Verdict;
use super::report::{DeviceReport, Errno, Step, StepReport, StepResult};

/// The steps of one device, in the order in which they were tried.
#[derive(Debug, Default)]
pub struct Record {
    steps: Vec<StepReport>,
    /// Something that programs need cannot even be tried.
    hopeless: bool,
}

impl Record {
    pub fn works(&mut self, step: Step, text: String) {
        self.steps.push(StepReport { step, result: StepResult::Works, errno: None, text });
    }

    pub fn fails(&mut self, step: Step, errno: Option<i32>, text: String) {
        let errno = errno.map(Errno::new);
        self.steps.push(StepReport { step, result: StepResult::Fails, errno, text });
    }

    pub fn skip(&mut self, step: Step, text: String) {
        self.steps.push(StepReport { step, result: StepResult::NotTried, errno: None, text });
    }

    /// Not tried, since it is known to go wrong in a way that nobody wants to see; programs need it all the same.
    pub fn dare_not(&mut self, step: Step, text: String) {
        self.hopeless = true;
        self.skip(step, text);
    }

    /// Not tried, since `other` gave nothing to try it with.
    pub fn needs(&mut self, step: Step, other: Step) {
        self.skip(step, format!("needs {}", other.name()));
    }

    /// Gives whether it is good.
    pub fn verdict(&mut self, step: Step, verdict: Verdict) -> bool {
        let good = verdict.is_ok();
        match verdict {
            Ok(text) => self.works(step, text),
            Err(text) => self.fails(step, None, text),
        }
        good
    }

    /// A device is usable when nothing failed: what else was not tried needs what failed, or is not for this device.
    pub fn report(self, target: &Target) -> DeviceReport {
        DeviceReport {
            rdma_device: target.name.clone(),
            node: target.node.display().to_string(),
            usable: !self.hopeless && self.steps.iter().all(|step| step.result != StepResult::Fails),
            steps: self.steps,
        }
    }
}
