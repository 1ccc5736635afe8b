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
    /// Some laws again where the server's defaults are the strictest.
    mod strict {
        use std::sync::Arc;

        use testkit::store_contract::Start;
        use tokio::sync::OnceCell;

        fn start() -> Start {
            match testkit::postgres::server() {
                Ok(server) => Start::Ready(Arc::new(super::Database { server, url: OnceCell::new(), strict: true })),
                Err(missing) => Start::Skip(missing),
            }
        }

        testkit::store_contract! { @laws start;
            accepting: a_repeated_key_answers_the_first_application, a_full_queue_takes_no_more;
            names: one_of_many_gets_the_name;
            saving: one_of_many_savers_wins;
            leases: one_of_many_takers_wins;
            lists: pages_are_complete_while_others_insert;
            events: a_follower_never_meets_a_smaller_id;
            concurrency: many_gateways_keep_the_invariants;
        }
    }

    use std::sync::Arc;

    use engine::store::DynStore;
    use store::postgres::PostgresStore;
    use testkit::postgres::Server;
    use testkit::store_contract::{Bed, Start};
    use tokio::sync::OnceCell;

    #[async_trait::async_trait]
    impl Bed for Database {
        async fn open(&self) -> DynStore {
            let url = self.url.get_or_init(|| self.create()).await;
            Arc::new(PostgresStore::connect(url).await.unwrap())
        }
    }

    struct Database {
        server: &'static Server,
        url: OnceCell<String>,
        /// Whether sessions are serializable and read only unless they say otherwise.
        strict: bool,
    }

    impl Database {
        async fn create(&self) -> String {
            let url = self.server.database().await;
            if let (true, Some((_, name))) = (self.strict, url.rsplit_once('/')) {
                for setting in ["default_transaction_isolation = 'serializable'", "default_transaction_read_only = on"]
                {
                    self.server.execute(&format!("ALTER DATABASE {name} SET {setting}")).await;
                }
            }
            url
        }
    }

    fn start() -> Start {
        match testkit::postgres::server() {
            Ok(server) => Start::Ready(Arc::new(Database { server, url: OnceCell::new(), strict: false })),
            Err(missing) => Start::Skip(missing),
        }
    }

    testkit::store_contract!(start);
}
