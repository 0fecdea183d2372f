//! The host's end of the guest's virtio-serial ports: sockets that QEMU connects to.

use super::machine::CHANNELS;
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Child;
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub struct Listeners(Vec<UnixListener>);

/// Everything connected, and the copying threads started.
pub struct Channels {
    /// Carries the guest's messages, a line each.
    pub control: UnixStream,
    stdin: UnixStream,
    outputs: Vec<JoinHandle<()>>,
}

impl Listeners {
    pub fn bind(dir: &Path) -> Result<Self> {
        let listeners = CHANNELS.iter().map(|name| -> Result<UnixListener> {
            let path = dir.join(name);
            let listener =
                UnixListener::bind(&path).with_context(|| format!("cannot listen on {}", path.display()))?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        Ok(Self(listeners.collect::<Result<_>>()?))
    }

    /// Waits for QEMU, which connects while it starts, or ends because it could not.
    pub fn accept(self, qemu: &mut Child) -> Result<Channels> {
        let mut streams = Vec::new();
        for listener in self.0 {
            streams.push(accept_one(&listener, qemu)?);
        }
        let streams: [UnixStream; CHANNELS.len()] =
            streams.try_into().ok().context("one stream a channel")?;
        let [control, stdin, stdout, stderr] = streams;
        let outputs = vec![
            thread::spawn(move || receive(stdout, std::io::stdout())),
            thread::spawn(move || receive(stderr, std::io::stderr())),
        ];
        Ok(Channels { control, stdin, outputs })
    }
}

impl Channels {
    /// Starts sending our input. Not before the guest listens: it would never see an end that came earlier.
    pub fn send_input(&self) -> Result<()> {
        let stdin = self.stdin.try_clone()?;
        thread::spawn(move || send(stdin));
        Ok(())
    }

    /// Waits until all output has been shown; QEMU must have ended.
    pub fn drain(self) {
        for output in self.outputs {
            drop(output.join());
        }
    }
}

fn accept_one(listener: &UnixListener, qemu: &mut Child) -> Result<UnixStream> {
    loop {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false)?;
            return Ok(stream);
        }
        if let Some(status) = qemu.try_wait()? {
            bail!("QEMU ended at once ({status})");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// The end of our input becomes the end of the guest's.
fn send(mut guest: UnixStream) {
    drop(std::io::copy(&mut std::io::stdin().lock(), &mut guest));
    drop(guest.shutdown(Shutdown::Write));
}

/// Unbuffered: what the guest says is seen when it says it. A reader that went away does not stop the guest.
fn receive(mut guest: UnixStream, mut to: impl Write) {
    let mut buffer = vec![0; 64 * 1024];
    let mut listening = true;
    while let Ok(length @ 1..) = guest.read(&mut buffer) {
        listening = listening && to.write_all(&buffer[..length]).and_then(|()| to.flush()).is_ok();
    }
}
