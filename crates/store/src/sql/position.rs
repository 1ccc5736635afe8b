//! Pages by position: found by adding up tallies instead of counting applications.

use std::ops::Range;

use engine::store::{Positioned, StoreError};
use model::application::Application;
use model::id::ApplicationKind;
use model::principal::{Owner, Scope};

use super::columns::{self, Block, COLUMNS, Tally};
use super::connection::Reads;
use super::query::Query;
use super::value::{Row, corrupt, count};

/// A page of the applications of a kind that somebody may see, oldest first.
#[derive(Clone)]
pub(crate) struct ByPosition {
    pub(crate) kind: ApplicationKind,
    pub(crate) scope: Scope,
    pub(crate) offset: u32,
    pub(crate) limit: u32,
}

impl Query for ByPosition {
    type Output = Positioned;
    const SNAPSHOT: bool = true;
    const LIST: bool = true;

    async fn run<R: Reads>(self, reads: &mut R) -> Result<Self::Output, StoreError> {
        if self.scope == Scope::Nothing {
            return Ok(Positioned::default());
        }
        let large = self.find(reads, Block::Large, 0..i64::MAX, self.offset.into()).await?;
        let Some((block, skip)) = large.start else {
            return Ok(Positioned { applications: vec![], total: large.total });
        };
        let per_large = Block::Large.size() / Block::Small.size();
        let small = self.find(reads, Block::Small, block * per_large..(block + 1) * per_large, skip).await?;
        let (block, skip) = small.start.ok_or_else(|| corrupt("the tallies of large and small blocks differ"))?;
        let applications = self.page(reads, block, skip).await?;
        Ok(Positioned { applications, total: large.total })
    }
}

/// Where a position is.
struct Place {
    /// The block it is in, and how many of the block come before it; `None` when it is beyond the end.
    start: Option<(i64, u64)>,
    total: u64,
}

impl ByPosition {
    async fn find(
        &self,
        reads: &mut impl Reads,
        size: Block,
        blocks: Range<i64>,
        offset: u64,
    ) -> Result<Place, StoreError> {
        let scope = Tally::of_kind(self.kind, &self.scope, size);
        let sql = "SELECT block, count FROM tallies WHERE scope = ?1 AND block >= ?2 AND block < ?3 ORDER BY block";
        find(reads.read(sql, vec![scope.into(), blocks.start.into(), blocks.end.into()]).await?, offset)
    }

    async fn page<R: Reads>(&self, reads: &mut R, block: i64, skip: u64) -> Result<Vec<Application>, StoreError> {
        let first = columns::first_row(self.kind) + block * Block::Small.size();
        let mut values = vec![first.into(), columns::end_row(self.kind).into(), self.limit.into(), count(skip).into()];
        let (index, owned) = match &self.scope {
            Scope::Everything | Scope::Nothing => (String::new(), ""),
            Scope::Tenant(tenant) => {
                values.push(tenant.as_str().into());
                (R::DIALECT.indexed_by("applications_by_tenant_and_id"), "AND a.owner_tenant = ?5 ")
            }
            Scope::Owner(Owner { tenant, user }) => {
                values.extend([tenant.as_str().into(), user.as_str().into()]);
                let owned = "AND a.owner_tenant = ?5 AND a.owner_user = ?6 ";
                (R::DIALECT.indexed_by("applications_by_member_and_id"), owned)
            }
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM applications a{index} WHERE a.id >= ?1 AND a.id < ?2 {owned}ORDER BY a.id LIMIT ?3 OFFSET ?4"
        );
        columns::applications(reads.read(&sql, values).await?)
    }
}

fn find(blocks: Vec<Row>, offset: u64) -> Result<Place, StoreError> {
    let mut place = Place { start: None, total: 0 };
    for mut row in blocks {
        let (block, length) = (row.int()?, row.count()?);
        if place.start.is_none() {
            let before = offset.checked_sub(place.total);
            place.start = before.filter(|before| *before < length).map(|before| (block, before));
        }
        place.total += length;
    }
    Ok(place)
}
