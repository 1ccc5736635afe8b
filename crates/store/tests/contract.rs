//! Every store keeps the contract: each law is a test of each store, `memory::names_are_unique_per_kind`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod memory {
    use std::sync::Arc;

    use engine::store::DynStore;
    use store::memory::MemoryStore;
    use testkit::store_contract::{Bed, Start};

    #[async_trait::async_trait]
    impl Bed for Handle {
        async fn open(&self) -> DynStore {
            Arc::new(self.0.clone())
        }
    }

    struct Handle(MemoryStore);

    fn start() -> Start {
        Start::Ready(Arc::new(Handle(MemoryStore::new())))
    }

    testkit::store_contract!(start);
}

mod sqlite {
    use std::sync::Arc;

    use engine::store::DynStore;
    use store::sqlite::SqliteStore;
    use tempfile::TempDir;
    use testkit::store_contract::{Bed, Start};

    #[async_trait::async_trait]
    impl Bed for Folder {
        async fn open(&self) -> DynStore {
            Arc::new(SqliteStore::open(&self.0.path().join("store.db")).unwrap())
        }
    }

    struct Folder(TempDir);

    fn start() -> Start {
        Start::Ready(Arc::new(Folder(TempDir::new().unwrap())))
    }

    testkit::store_contract!(start);
}

mod postgres {
    use std::sync::Arc;

    use engine::store::DynStore;
    use store::postgres::PostgresStore;
    use testkit::postgres::Server;
    use testkit::store_contract::{Bed, Start};
    use tokio::sync::OnceCell;

    #[async_trait::async_trait]
    impl Bed for Database {
        async fn open(&self) -> DynStore {
            let url = self.url.get_or_init(|| self.server.database()).await;
            Arc::new(PostgresStore::connect(url).await.unwrap())
        }
    }

    struct Database {
        server: &'static Server,
        url: OnceCell<String>,
    }

    fn start() -> Start {
        match testkit::postgres::server() {
            Ok(server) => Start::Ready(Arc::new(Database { server, url: OnceCell::new() })),
            Err(missing) => Start::Skip(missing),
        }
    }

    testkit::store_contract!(start);
}
