//! Identifiers. Each is its own type, so that none can stand in for another.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// What an application is for; batches and servers are numbered apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApplicationKind {
    /// Runs a program to its end.
    Batch,
    /// Holds sessions: a REPL, SQL, Spark Connect.
    Server,
}

impl ApplicationKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Batch, Self::Server];

    /// The word in ids and in the API: `batch`, `server`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Server => "server",
        }
    }
}

impl fmt::Display for ApplicationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ApplicationKind {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| InvalidId::new("kind", text))
    }
}

/// The type of a backend: what a driver is there, and what keeps it from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BackendKind {
    /// Processes on the gateway's machine.
    Local,
    /// A standalone Spark cluster.
    Standalone,
    /// A Hadoop cluster.
    Yarn,
    /// Pods of a Kubernetes cluster.
    Kubernetes,
}

impl BackendKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Local, Self::Standalone, Self::Yarn, Self::Kubernetes];

    /// The word in the configuration and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Standalone => "standalone",
            Self::Yarn => "yarn",
            Self::Kubernetes => "kubernetes",
        }
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for BackendKind {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| InvalidId::new("kind of backend", text))
    }
}

/// An application: its kind and a number that is never used again, `batch-12`.
///
/// Numbers start at 0 and stay within `i32`, because Livy's clients read them as Java or Python integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApplicationId {
    kind: ApplicationKind,
    number: u32,
}

impl ApplicationId {
    /// The first batch of any store.
    pub const FIRST_BATCH: Self = Self { kind: ApplicationKind::Batch, number: 0 };

    /// The largest number a Livy client can read.
    pub const MAX_NUMBER: u32 = i32::MAX as u32;

    /// The application `kind-number`; `None` when the number is above [`Self::MAX_NUMBER`].
    pub const fn new(kind: ApplicationKind, number: u32) -> Option<Self> {
        if number <= Self::MAX_NUMBER { Some(Self { kind, number }) } else { None }
    }

    /// Which numbering this id belongs to.
    pub const fn kind(self) -> ApplicationKind {
        self.kind
    }

    /// The number within its kind.
    pub const fn number(self) -> u32 {
        self.number
    }
}

impl fmt::Display for ApplicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.kind, self.number)
    }
}

impl FromStr for ApplicationId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidId::new("application id", text);
        let (kind, number) = text.rsplit_once('-').ok_or_else(invalid)?;
        // One spelling per id: no sign, no leading zero.
        if !number.bytes().all(|b| b.is_ascii_digit()) || (number.len() > 1 && number.starts_with('0')) {
            return Err(invalid());
        }
        let kind = kind.parse().map_err(|_| invalid())?;
        Self::new(kind, number.parse().map_err(|_| invalid())?).ok_or_else(invalid)
    }
}

/// One try to run an application: a UUIDv7, from which every name outside the gateway derives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(Uuid);

impl AttemptId {
    /// Wraps a UUID that the caller made (version 7, so that ids sort by creation).
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for AttemptId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self).map_err(|_| InvalidId::new("attempt id", text))
    }
}

/// The position of an event in the store's log. Ids become readable in their order, so a reader that
/// has seen one never meets a smaller one later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub u64);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Text that is not an identifier of the kind asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid {what}")]
pub struct InvalidId {
    what: &'static str,
    text: String,
}

impl InvalidId {
    pub(crate) fn new(what: &'static str, text: &str) -> Self {
        Self { what, text: text.chars().take(64).collect() }
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks the spelling: 1 to the maximal number of bytes, ASCII letters, digits and `. _ - / @`,
            /// beginning with a letter or a digit.
            ///
            /// # Errors
            /// [`InvalidId`] when the text is spelled otherwise.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                let spelled = |b: u8| b.is_ascii_alphanumeric() || b"._-/@".contains(&b);
                let begins = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
                if begins && text.len() <= $max && text.bytes().all(spelled) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidId::new($what, text))
                }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }
    };
}

name_type!(
    /// A configured backend, `local`.
    BackendName, "backend name", 63
);
name_type!(
    /// A configured Spark installation, `3.5`.
    SparkName, "Spark name", 63
);
name_type!(
    /// The set of applications that one lease covers: a backend, and the host where its work is bound to one.
    Shard, "shard", 200
);
name_type!(
    /// A gateway process that can hold leases; stable across its restarts.
    HolderId, "lease holder", 100
);
name_type!(
    /// A user as authentication names it.
    UserName, "user name", 200
);
name_type!(
    /// A tenant: whom limits and visibility are about.
    TenantName, "tenant name", 63
);
name_type!(
    /// A group of users, within a tenant.
    GroupName, "group name", 63
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn application_ids_have_one_spelling() {
        let parsed = |text: &str| text.parse::<ApplicationId>().map(|id| id.to_string()).ok();
        assert_eq!(parsed("batch-0").as_deref(), Some("batch-0"));
        assert_eq!(parsed("server-2147483647").as_deref(), Some("server-2147483647"));
        for wrong in
            ["batch", "batch-", "batch-00", "batch-+1", "batch--1", "batch-2147483648", "job-1", "Batch-1", "batch-1 "]
        {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_are_checked_once() {
        assert!(BackendName::new("local").is_ok());
        for wrong in ["", "-x", "a b", "é", "a\n"] {
            assert!(BackendName::new(wrong).is_err(), "{wrong:?}");
        }
        assert!(BackendName::new(&"a".repeat(64)).is_err());
    }
}
