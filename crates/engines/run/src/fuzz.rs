//! Bundles and lists of mounts that somebody else made.

use std::path::{Component, Path, PathBuf};

use nicdock_fuzzing::{check, samples};

use super::bundle::{Bind, Names};
use nicdock_core::request::Profile;
use nicdock_core::request::{Limits, Memlock, NicRequest, RdmaLimits, Request, Root, User};
use nicdock_sys::mountinfo;

pub fn request() -> Request {
    Request {
        nics: NicRequest::of(Vec::new()),
        join: None,
        name: None,
        root: Root::Bundle("/bundle".into()),
        bundle_binds: true,
        memlock: Memlock::Unlimited,
        user: User::default(),
        volumes: Vec::new(),
        env: Vec::new(),
        workdir: None,
        terminal: false,
        extra_capabilities: Vec::new(),
        weaken: false,
        view: Profile::Nic,
        registers: false,
        families: Vec::new(),
        netlink: Vec::new(),
        userns: false,
        rdma_limits: RdmaLimits::default(),
        limits: Limits::default(),
        command: Vec::new(),
    }
}

/// Whatever is in a bundle, it asks for no more than a command line could, and to write nowhere outside of it.
#[test]
fn bundles() {
    check(&samples!("bundle"), |bytes| {
        let mut request = request();
        let names = Names { given: "/bundle".into(), real: "/no/such/bundle".into() };
        let Ok(wanted) = names.take_over(bytes, &mut request) else { return };
        let below = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        assert!(below(&wanted.root));
        assert!(
            !request.weaken
                && !request.nics.umad
                && !request.nics.rdma_cm
                && !request.registers
                && !request.userns
        );
        assert!(
            request.view == Profile::Nic
                && request.families.is_empty()
                && request.netlink.is_empty()
                && request.extra_capabilities.is_empty()
        );
        assert!(request.volumes.is_empty());
        for Bind { below: inside, volume } in &wanted.binds {
            assert!(inside.as_deref().map_or(volume.read_only, below), "{volume:?}");
            volume.check().expect("a volume that a command line could ask for");
        }
        let texts = request.command.iter().chain(&request.env);
        assert!(texts.clone().all(|text| !text.contains('\0')));
        assert!(
            request
                .env
                .iter()
                .all(|variable| variable.split_once('=').is_some_and(|(key, _)| !key.is_empty()))
        );
        assert!(request.workdir.is_none_or(|folder| folder.starts_with('/')));
    });
}

#[test]
fn mounts() {
    check(&samples!("mountinfo"), |bytes| {
        let lines = bytes.split(|byte| *byte == b'\n').count();
        assert!(mountinfo::parse(bytes).count() <= lines);
    });
}

/// As the kernel writes it.
#[test]
fn a_mount_point_is_read_as_the_kernel_escaped_it() {
    check(&samples!("path"), |bytes| {
        let mut line = b"36 35 98:0 / ".to_vec();
        for byte in bytes {
            match byte {
                b' ' | b'\t' | b'\n' | b'\\' => line.extend(format!("\\{byte:03o}").bytes()),
                byte => line.push(*byte),
            }
        }
        line.extend(b" rw - sysfs none rw");
        let found: Vec<PathBuf> = mountinfo::parse(&line).map(|mounted| mounted.point).collect();
        assert_eq!(
            found,
            [PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes))]
        );
    });
}
