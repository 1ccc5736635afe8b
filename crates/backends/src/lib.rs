//! Places where applications run: adapters of [`engine::backend::Backend`].
//!
//! Start with [`local`], which runs drivers on this machine, with [`kubernetes`], which runs them on a cluster, or with
//! [`log`], which says how the output of drivers is kept and read whatever the place.

mod causes;
mod evidence;
pub mod kubernetes;
pub mod local;
pub mod log;
mod readiness;
