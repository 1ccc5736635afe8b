//! What is answered: the fields and their order as Livy 0.9 writes them.
//!
//! Livy's own Java client fails on a field it does not know, so nothing may be added here. Write them
//! with [`crate::to_json`].

use serde::Serialize;

/// A batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchView {
    /// Its number.
    pub id: i32,
    /// The name it was created with.
    pub name: Option<String>,
    /// Who created it; null without authentication.
    pub owner: Option<String>,
    /// Whom it runs as; null while impersonation is off, even when one was asked for.
    pub proxy_user: Option<String>,
    /// A word of [`crate::state`].
    pub state: &'static str,
    /// Spark's or the cluster manager's id of the application.
    pub app_id: Option<String>,
    /// Links.
    pub app_info: AppInfo,
    /// The end of its log, see [`crate::log::view_of`].
    pub log: Vec<String>,
}

/// Links that belong to a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppInfo {
    /// Where the driver's log can be read.
    pub driver_log_url: Option<String>,
    /// Spark's UI of the application.
    pub spark_ui_url: Option<String>,
    /// Where the executors' logs can be read.
    pub executor_log_urls: Option<String>,
}

/// A page of batches. The member is called `sessions` for batches too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BatchList {
    /// The request's `from`, as it came.
    pub from: i32,
    /// How many there are, not how many the page has.
    pub total: usize,
    /// The page.
    pub sessions: Vec<BatchView>,
}

/// `GET /batches/{id}/state`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StateView {
    /// The batch's number.
    pub id: i32,
    /// A word of [`crate::state`].
    pub state: &'static str,
}

/// `GET /batches/{id}/log`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogView {
    /// The batch's number.
    pub id: i32,
    /// The number of the first line, see [`crate::page::log`].
    pub from: i32,
    /// How many lines there are, headings included.
    pub total: usize,
    /// The lines.
    pub log: Vec<String>,
}

/// `GET /version`. Clients look at `version` alone and compare it as text: it has to look like `0.9.x`,
/// never like `0.10.x`, which pylivy takes for older than `0.5`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VersionView {
    /// Where the source is.
    pub url: String,
    /// Branch it was built from.
    pub branch: String,
    /// Commit it was built from.
    pub revision: String,
    /// The version of Livy whose contract is served.
    pub version: String,
    /// When it was built.
    pub date: String,
    /// Who built it.
    pub user: String,
}

/// The answer of a DELETE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deleted {
    msg: &'static str,
}

/// `{"msg":"deleted"}`.
pub const DELETED: Deleted = Deleted { msg: "deleted" };

/// The `Location` of a created batch: a path, with the id even when it has a name.
pub fn location(id: i32) -> String {
    format!("/batches/{id}")
}
