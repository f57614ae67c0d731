//! The role that analysts read the views as: there are none.

use super::SqliteStore;
use crate::store::{AnalystRole, AnalystTenants, Analysts, StoreError};

#[async_trait::async_trait]
impl Analysts for SqliteStore {
    async fn set_up_analyst(&self, _: &str, _: Option<&AnalystTenants>) -> Result<AnalystRole, StoreError> {
        Err(StoreError::Unusable(
            "SQLite has no roles: who can read the file reads all of it. Give analysts API keys, exports, or a copy of the file"
                .into(),
        ))
    }
}
