//! The three kinds of store that every promise of this crate is tested on: SQLite, a MariaDB
//! with durable defaults, and a MariaDB set up like a small shared host.

use mariadb::Flavor;
use store::{AnyEngine, Target};
use tempfile::TempDir;

/// A database of its own, gone with the test.
pub(crate) struct Store {
    /// Which kind it is, for the text of a failed assertion.
    pub(crate) name: &'static str,
    /// Its address.
    pub(crate) target: Target,
    _folder: TempDir,
}

impl Store {
    /// Opens one more connection to it.
    pub(crate) async fn engine(&self) -> AnyEngine {
        self.target.connect().await.unwrap()
    }
}

/// An empty database of each kind.
pub(crate) async fn empty_stores() -> Vec<Store> {
    let folder = TempDir::new().unwrap();
    let target = Target::Sqlite(folder.path().join("events.db"));
    let mut stores = vec![Store {
        name: "sqlite",
        target,
        _folder: folder,
    }];
    for flavor in Flavor::ALL {
        let (address, database) = tokio::task::spawn_blocking(move || {
            let address = mariadb::shared(flavor).unwrap();
            let database = address.fresh_database("store").unwrap();
            (address, database)
        })
        .await
        .unwrap();
        let server = format!("127.0.0.1:{}", address.port());
        let target = Target::mysql(&address.url(&database), None, &server);
        stores.push(Store {
            name: flavor.name(),
            target,
            _folder: TempDir::new().unwrap(),
        });
    }
    stores
}

/// A database of each kind with the schema in it.
pub(crate) async fn stores() -> Vec<Store> {
    let stores = empty_stores().await;
    for store in &stores {
        let mut engine = store.engine().await;
        store::schema::migrate(&mut engine).await.unwrap();
    }
    stores
}
