//! Durable and yet fast: an answer comes after a sync of the disk, and clients that wait together share one.
//!
//! The syncs are counted where they happen, in front of the system call; so this file holds a single test.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::store::Store;
use store::sqlite::SqliteStore;
use testkit::store_contract::batch;

static SYNCS: AtomicUsize = AtomicUsize::new(0);

/// Stands before the C library's function: the linker takes the executable's own first.
#[allow(unsafe_code, reason = "SQLite calls this symbol, and the descriptor is its own and open")]
#[unsafe(no_mangle)]
extern "C" fn fsync(descriptor: i32) -> i32 {
    SYNCS.fetch_add(1, Ordering::SeqCst);
    // SAFETY: the caller keeps the descriptor open during the call.
    let file = unsafe { BorrowedFd::borrow_raw(descriptor) };
    rustix::fs::fsync(file).map_or(-1, |()| 0)
}

/// As above.
#[allow(unsafe_code, reason = "SQLite calls this symbol, and the descriptor is its own and open")]
#[unsafe(no_mangle)]
extern "C" fn fdatasync(descriptor: i32) -> i32 {
    SYNCS.fetch_add(1, Ordering::SeqCst);
    // SAFETY: the caller keeps the descriptor open during the call.
    let file = unsafe { BorrowedFd::borrow_raw(descriptor) };
    rustix::fs::fdatasync(file).map_or(-1, |()| 0)
}

const CLIENTS: usize = 64;
const EACH: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_follow_a_sync_and_share_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&folder.path().join("store.db")).unwrap());
    for _ in 0..10 {
        let before = SYNCS.load(Ordering::SeqCst);
        store.accept(batch()).await.unwrap();
        assert!(SYNCS.load(Ordering::SeqCst) > before, "an answer came before its sync");
    }

    let before = SYNCS.load(Ordering::SeqCst);
    let client = |_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for _ in 0..EACH {
                store.accept(batch()).await.unwrap();
            }
        })
    };
    for client in (0..CLIENTS).map(client).collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let syncs = SYNCS.load(Ordering::SeqCst) - before;
    assert!(4 * syncs <= CLIENTS * EACH, "{syncs} syncs for {} accepts", CLIENTS * EACH);
}
