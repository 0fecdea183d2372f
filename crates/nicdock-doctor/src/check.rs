use serde::Serialize;

use crate::finding::{Finding, Status};
use crate::subject::Subject;

/// One question.
pub struct Check {
    /// Stable: programs know it.
    pub id: &'static str,
    /// What is looked at, in half a sentence.
    pub asks: &'static str,
    /// What happens where it is wrong.
    pub why: &'static str,
    pub judge: fn(&Subject) -> Vec<Finding>,
    /// One state in which it fires, one in which it is ok and one in which it is unknown.
    #[cfg(test)]
    pub cases: fn() -> crate::testing::Cases,
}

/// An answer with all that is to be said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    pub id: &'static str,
    pub status: Status,
    pub nic: Option<String>,
    pub evidence: String,
    pub why: &'static str,
    pub fix: Option<String>,
}

impl Check {
    pub fn answers(&self, subject: &Subject) -> Vec<Answer> {
        let mut found = (self.judge)(subject);
        if found.is_empty() {
            found.push(Finding::ok("there is no NIC here that this is about"));
        }
        found.into_iter().map(|finding| self.answer(finding)).collect()
    }

    fn answer(&self, finding: Finding) -> Answer {
        let Finding { status, nic, evidence, fix } = finding;
        let ask =
            || "sudo nicdock doctor, or a capture that root takes with this version of nicdock".to_owned();
        let fix = fix.or_else(|| (status == Status::Unknown).then(ask));
        Answer { id: self.id, status, nic, evidence, why: self.why, fix }
    }
}

#[cfg(test)]
impl crate::testing::Case {
    /// What a check says of it.
    pub fn answers(&self, check: &Check) -> Vec<Answer> {
        check.answers(&self.subject())
    }

    /// The worst of its answers, and all of them in words.
    pub fn ask(&self, check: &Check) -> (Status, String) {
        let answers = self.answers(check);
        let worst = answers.iter().map(|answer| answer.status).min().expect("there is an answer");
        (worst, format!("{answers:#?}"))
    }
}
