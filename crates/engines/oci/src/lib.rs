//! Gives NICs to containers of OCI engines (Podman, Docker, containerd): a CDI device a NIC, whose edits are the node and two hooks.
//!
//! `createRuntime` finds the container made, its program waiting, its mounts below the bundle's root (OCI runtime-spec, "Hooks"). It gives the NICs,
//! or fails, and then the runtime starts nothing. `poststop` only hastens the return: the next command would do it, too.
//!
//! Engines without CDI have a runtime of nicdock's, which puts the same hooks into a container's configuration, and closes there what hooks cannot.

pub mod accepted;
pub mod annotations;
pub mod cdi;
pub mod edit;
pub mod hook;
pub mod install;
pub mod profile;
pub mod spec;
pub mod weaknesses;
