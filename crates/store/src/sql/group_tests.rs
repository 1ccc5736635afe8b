//! A group whose transaction can't begin isn't tried command by command.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::super::command::Slot;
use super::super::connection::{Dialect, Reads};
use super::super::value::{Row, Value};
use super::*;

/// A database that lets nobody begin.
#[derive(Default)]
struct Shut {
    begins: usize,
}

impl Reads for Shut {
    const DIALECT: Dialect = Dialect::Sqlite;

    async fn read(&mut self, _sql: &str, _values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        Ok(Vec::new())
    }
}

impl Writes for Shut {
    async fn begin(&mut self) -> Result<(), StoreError> {
        self.begins += 1;
        Err(StoreError::unavailable("shut"))
    }

    async fn write(&mut self, _sql: &str, _values: Vec<Value>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn rollback(&mut self) {}
}

#[tokio::test]
async fn all_are_told_at_once_when_nothing_can_begin() {
    let (commands, answers): (Vec<_>, Vec<_>) = (0..3)
        .map(|_| {
            let (slot, answer) = Slot::new();
            (Command::TrimEvents { keep: 1, limit: 1, slot }, answer)
        })
        .unzip();
    let mut shut = Shut::default();
    serve(&mut shut, &watch::Sender::new(EventId(0)), commands).await;
    assert_eq!(shut.begins, 1);
    for answer in answers {
        assert!(matches!(answer.await.unwrap(), Err(StoreError::Unavailable(_))));
    }
}
