//! What differs between the lines of Spark, in one table.

use std::fmt;
use std::str::FromStr;

/// A line of Spark's releases, `4.1`. Releases of one line don't differ in what this crate builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SparkVersion {
    /// The first number.
    pub major: u16,
    /// The second number.
    pub minor: u16,
}

impl SparkVersion {
    /// The oldest line that is built for.
    pub const OLDEST: Self = Self::new(3, 3);
    /// The newest line that this crate knows; what an unknown version is taken for.
    pub const NEWEST: Self = Self::new(4, 3);
    /// The last line of the majors that have one.
    const LAST_OF_MAJOR: [Self; 2] = [Self::new(3, 5), Self::NEWEST];

    /// The line `major.minor`.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Whether Spark of this line does `feature`.
    pub fn has(self, feature: Feature) -> bool {
        self >= feature.since()
    }
}

impl fmt::Display for SparkVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Text that doesn't begin with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a version of Spark, such as 4.1")]
pub struct NoVersion;

impl FromStr for SparkVersion {
    type Err = NoVersion;

    /// Reads `4.1`, `4.1.4`, `3.5.9-scala2.13`, and `4` as the last line of that major.
    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let mut numbers = text.split(['.', '-', '_']).map(str::parse::<u16>);
        let major = numbers.next().and_then(Result::ok).ok_or(NoVersion)?;
        match numbers.next() {
            Some(Ok(minor)) => Ok(Self::new(major, minor)),
            _ => Self::LAST_OF_MAJOR.into_iter().find(|last| last.major == major).ok_or(NoVersion),
        }
    }
}

/// Something that Spark's objects or defaults have from some line on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// The driver's service names its address families.
    ServiceIpFamilies,
    /// `spark.driver.minMemoryOverhead` moves the least overhead, which is 384 MiB before.
    MinMemoryOverhead,
    /// A port for Spark Connect on the driver's pod and service.
    ConnectPort,
    /// That port of the service says that it speaks gRPC.
    ConnectProtocol,
    /// The driver's service says whether it publishes addresses that aren't ready.
    PublishNotReadyAddresses,
}

impl Feature {
    /// Every feature.
    pub const ALL: [Self; 5] = [
        Self::ServiceIpFamilies,
        Self::MinMemoryOverhead,
        Self::ConnectPort,
        Self::ConnectProtocol,
        Self::PublishNotReadyAddresses,
    ];

    /// The first line that has it.
    pub const fn since(self) -> SparkVersion {
        match self {
            Self::ServiceIpFamilies => SparkVersion::new(3, 4),
            Self::MinMemoryOverhead => SparkVersion::new(4, 0),
            Self::ConnectPort => SparkVersion::new(4, 1),
            Self::ConnectProtocol => SparkVersion::new(4, 2),
            Self::PublishNotReadyAddresses => SparkVersion::new(4, 3),
        }
    }
}
