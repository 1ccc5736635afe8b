//! `POST /batches`: from the bytes of a request to a batch that may run.
//!
//! [`parse`] reads the body as Livy's JSON mapper does, [`validate`] applies Livy's rules to it, [`to_conf`]
//! says what it means to Spark. They are apart because the gateway looks at names in between.

mod conf;
mod parse;
mod validate;

use indexmap::IndexMap;

pub use conf::to_conf;
pub use parse::parse;
pub use validate::{FileProblem, Rules, file_keys, validate, validate_name};

/// The body of `POST /batches`. Nothing in it has been checked against any rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateBatch {
    /// The program: path or URI of a Python file or a jar.
    pub file: Option<String>,
    /// Whom to run as.
    pub proxy_user: Option<String>,
    /// Main class of a jar.
    pub class_name: Option<String>,
    /// The program's arguments.
    pub args: Vec<String>,
    /// Jars for driver and executors.
    pub jars: Vec<String>,
    /// Python files for driver and executors.
    pub py_files: Vec<String>,
    /// Files for the executors' working folders.
    pub files: Vec<String>,
    /// Memory of the driver, in Spark's notation.
    pub driver_memory: Option<String>,
    /// Cores of the driver.
    pub driver_cores: Option<i32>,
    /// Memory of each executor, in Spark's notation.
    pub executor_memory: Option<String>,
    /// Cores of each executor.
    pub executor_cores: Option<i32>,
    /// How many executors.
    pub num_executors: Option<i32>,
    /// Archives for the executors' working folders; `#name` says where they are unpacked.
    pub archives: Vec<String>,
    /// YARN's queue.
    pub queue: Option<String>,
    /// The batch's name, unique among those that are known.
    pub name: Option<String>,
    /// Spark's configuration in the request's order. Livy lets null through.
    pub conf: IndexMap<String, Option<String>>,
}
