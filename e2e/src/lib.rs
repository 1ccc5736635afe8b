//! A real cluster for tests: etcd, API server, controllers, scheduler, kubelet and containerd, ready in seconds.
//!
//! Start at [`Cluster`]. A test asks for [`Cluster::shared`], or for [`Cluster::alone`] when it breaks things, makes a
//! [`Namespace`] of its own in it, and waits for conditions with [`until`]. [`SparkSubmit`] is the real one, to compare
//! with; [`Tenancy`] is the gateway with two tenants, [`Outside`] what their drivers reach of this machine. What the
//! cluster is made of, and how it is kept apart from the machine, is in the scripts of `e2e/cluster`.

mod cluster;
mod holder;
mod namespace;
mod outside;
mod spark;
mod tenancy;
mod wait;

pub use cluster::{Alone, BUSYBOX_IMAGE, Cluster, Shared};
pub use namespace::{Namespace, PodSecurity};
pub use outside::Outside;
pub use spark::{Line, Program, SparkSubmit, Submission};
pub use tenancy::{BACKEND, DRIVERS, Tenancy, User};
pub use wait::until;
