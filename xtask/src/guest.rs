//! The other side: xtask as the guest's first process, after `lab/init.sh`. Makes the lab, runs the command, powers off.

mod cgroups;
mod command;
mod filesystems;
mod infiniband;
mod modules;
mod nics;
mod ports;
mod rxe;
mod usnic;
mod wait;

use crate::lab::job::{Job, Rdma};
use anyhow::Result;
use rustix::mount::{UnmountFlags, unmount};
use rustix::system::{RebootCommand, reboot};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Never returns on success: the machine goes down.
pub fn run(job: &Path) -> Result<()> {
    let mut control = ports::open("control")?;
    let message = match make_and_run(job, &mut control) {
        Ok(status) => format!("exit {status}\n"),
        Err(error) => format!("fail {}\n", format!("{error:#}").replace('\n', " ")),
    };
    // What was written to /lab must be on the host before the host hears of the end, for then it pulls the plug.
    let _ = unmount(filesystems::OUT, UnmountFlags::DETACH);
    rustix::fs::sync();
    control.write_all(message.as_bytes())?;
    reboot(RebootCommand::PowerOff)?;
    Ok(())
}

fn make_and_run(job: &Path, control: &mut File) -> Result<u8> {
    let job = Job::read(job)?;
    filesystems::mount(&job)?;
    cgroups::mount(job.cgroup)?;
    rustix::system::sethostname(b"lab")?;
    let (nics, vics) = (nics::nics(job.nics), nics::vics(job.vics));
    // RDMA's modules do not wait for the NICs', and NICs take seconds to find their link: side by side.
    std::thread::scope(|scope| -> Result<()> {
        let rdma = scope.spawn(|| modules::load(&job.rdma_modules));
        modules::load(&job.nic_modules)?;
        nics::name(&nics.iter().chain(&vics).collect::<Vec<_>>())?;
        nics::set_up(&nics)?;
        rdma.join().expect("loading modules does not panic")
    })?;
    if job.rdma == Rdma::Exclusive {
        // Before there is a second network namespace: then it is refused (rdma_compatdev_set(), EBUSY).
        rxe::set_exclusive()?;
    }
    usnic::load(&job.usnic_modules, &vics)?;
    nics::set_up(&vics)?;
    if job.rxe {
        rxe::add(&nics)?;
    }
    nics::await_link(&nics)?;
    infiniband::add(&nics, job.ib)?;
    if job.rxe {
        rxe::await_active(&nics)?;
    }
    nics::await_link(&vics)?;
    usnic::await_active(&vics)?;
    command::run(&job, || Ok(control.write_all(b"start now\n")?))
}
