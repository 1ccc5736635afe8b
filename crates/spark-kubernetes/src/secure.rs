//! What Pod Security `restricted` asks of every pod, for drivers and executors alike.

use k8s_openapi::api::core::v1::{Capabilities, PodSecurityContext, SeccompProfile, SecurityContext};

use crate::placement::Placement;

/// The context of a pod.
pub(crate) fn pod(placement: &Placement) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        // Images may name their user by a word, which the kubelet can't tell from root.
        run_as_user: Some(placement.user),
        fs_group: placement.volume_group,
        fs_group_change_policy: placement.volume_group.map(|_| "OnRootMismatch".to_owned()),
        seccomp_profile: Some(seccomp()),
        ..PodSecurityContext::default()
    }
}

/// The context of a container.
pub(crate) fn container() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), ..Capabilities::default() }),
        run_as_non_root: Some(true),
        seccomp_profile: Some(seccomp()),
        ..SecurityContext::default()
    }
}

fn seccomp() -> SeccompProfile {
    SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }
}
