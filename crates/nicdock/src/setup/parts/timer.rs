//! The timer that gives back NICs whose nicdock was killed.

use std::path::Path;

use crate::setup::machine::{Machine, UNITS};
use crate::setup::part::{Found, Part, Run, Undo, Wanted};

pub const PART: Part = Part { name: "timer", look: |machine| Ok(look(machine)), undo };

const TIMER: &str = "nicdock-reconcile.timer";
const SERVICE: &str = "nicdock-reconcile.service";
/// As the package has them.
const TEXTS: [(&str, &str); 2] = [
    (SERVICE, include_str!("../../../../../systemd/nicdock-reconcile.service")),
    (TIMER, include_str!("../../../../../systemd/nicdock-reconcile.timer")),
];
/// What `[Install]` of the timer says, as `systemctl enable` makes it.
const ENABLED: &str = "/etc/systemd/system/timers.target.wants/nicdock-reconcile.timer";

fn look(machine: &Machine) -> Found {
    if !machine.has_systemd() {
        return Found::nothing(
            "skipped: no systemd is here. Every nicdock command of root gives back what a killed one left; let cron call `nicdock reconcile` each minute for it to be soon",
        );
    }
    let own = Path::new(UNITS[0]).join(TIMER);
    if machine.at(&own).read_link().is_ok_and(|target| target == Path::new("/dev/null")) {
        return Found::nothing(format!("masked by {}, and left so", own.display()));
    }
    let mut found =
        Found { says: "looks each minute for NICs whose nicdock was killed".to_owned(), ..Found::default() };
    // The package's, or for a nicdock from elsewhere its own.
    let packaged =
        UNITS[1..].iter().map(|folder| Path::new(folder).join(TIMER)).find(|path| machine.has(path));
    if packaged.is_none() {
        let program = machine.program.display().to_string();
        for (name, text) in TEXTS {
            let text = text.replace("/usr/bin/nicdock", &program);
            found.wants.push(Wanted::file(Path::new(UNITS[0]).join(name), text));
        }
    } else if machine.has(&own) || machine.has(Path::new(UNITS[0]).join(SERVICE)) {
        found.hints.push(format!(
            "{} or {SERVICE} there is used instead of the package's: remove it if nobody wants it so",
            own.display()
        ));
    }
    found.wants.push(Wanted::link(ENABLED, packaged.unwrap_or(own)));
    if machine.runs_systemd() {
        found.after =
            vec![Run::new(&["systemctl", "daemon-reload"]), Run::new(&["systemctl", "start", TIMER])];
    } else {
        found.says += ", from the next boot on";
    }
    found
}

fn undo(machine: &Machine) -> Undo {
    if !machine.runs_systemd() {
        return Undo::default();
    }
    Undo {
        before: vec![Run::new(&["systemctl", "stop", TIMER])],
        after: vec![Run::new(&["systemctl", "daemon-reload"])],
    }
}
