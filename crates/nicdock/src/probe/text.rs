//! `nicdock probe` for people: a line for each step.

use super::report::{DeviceReport, StepReport, StepResult};
use crate::listing::columns;

/// The reports of all devices, with an empty line between two.
pub fn text(devices: &[DeviceReport]) -> String {
    devices.iter().map(device).collect::<Vec<_>>().join("\n")
}

fn device(device: &DeviceReport) -> String {
    let verdict = if device.usable { "usable" } else { "NOT usable" };
    let rows: Vec<Vec<String>> = device.steps.iter().map(row).collect();
    format!("{} {}: {verdict}\n{}", device.rdma_device, device.node, columns(&rows))
}

fn row(step: &StepReport) -> Vec<String> {
    let mark = match step.result {
        StepResult::Works => "ok",
        StepResult::Fails => "FAIL",
        StepResult::NotTried => "-",
    };
    let errno = step.errno.as_ref().map(|errno| format!("{} ({}): ", errno.name, errno.number));
    let not_tried = if step.result == StepResult::NotTried { "not tried: " } else { "" };
    let text = format!("{not_tried}{}{}", errno.unwrap_or_default(), step.text);
    vec![format!("  {mark}"), step.step.name().to_owned(), text]
}

#[cfg(test)]
mod tests {
    use super::super::report::{Errno, Step};
    use super::*;

    #[test]
    fn each_step_is_a_line_with_its_mark() {
        let step = |step, result, errno: Option<i32>, text: &str| StepReport {
            step,
            result,
            errno: errno.map(Errno::new),
            text: text.into(),
        };
        let report = DeviceReport {
            rdma_device: "usnic_0".into(),
            node: "/dev/infiniband/uverbs0".into(),
            usable: false,
            steps: vec![
                step(Step::Open, StepResult::Works, None, "as uid 0"),
                step(Step::CreateQp, StepResult::Fails, Some(libc::EPERM), "eth0 has no carrier"),
                step(Step::RegMr, StepResult::NotTried, None, "needs alloc_pd"),
            ],
        };
        let expected = "usnic_0 /dev/infiniband/uverbs0: NOT usable\n\
                        \x20 ok    open       as uid 0\n\
                        \x20 FAIL  create_qp  EPERM (1): eth0 has no carrier\n\
                        \x20 -     reg_mr     not tried: needs alloc_pd\n";
        assert_eq!(text(&[report]), expected);
    }
}
