//! How a tenant's upstream is reached and what proves who asks.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::quota::TenantId;

/// One tenant's access to KooDrive. The upstream's URL is the same for every tenant; the credential decides who answers.
#[derive(Clone, Debug)]
pub struct Account {
    /// Whose account it is.
    pub tenant: TenantId,
    /// Scheme, host and port, such as `https://cn.myhuaweicloud-koodrive.com`; a path is put before the API's own.
    pub endpoint: Url,
    /// `X-User-Id`: a text, because its 19 digits do not survive a double.
    pub user_id: String,
    /// What proves who asks.
    pub credential: Credential,
    /// Counts the changes of endpoint, user and credential, so that an answer for the former ones is never taken for one of these.
    pub generation: u64,
}

/// What proves who asks.
#[derive(Clone, Debug)]
pub enum Credential {
    /// App authentication: each request is signed.
    App {
        /// The app's id; public.
        app_id: String,
        /// The app's secret.
        app_secret: SecretString,
    },
    /// Token authentication.
    Token {
        /// The access token.
        token: SecretString,
        /// What stands before the token in `Authorization`: `Bearer+` by default.
        prefix: String,
    },
}

impl Account {
    /// Whether both reach the same upstream as the same user with the same credential, whatever their generation.
    #[must_use]
    pub fn same_access(&self, other: &Self) -> bool {
        self.endpoint == other.endpoint && self.user_id == other.user_id && self.credential.same(&other.credential)
    }
}

impl Credential {
    fn same(&self, other: &Self) -> bool {
        let equal = |a: &SecretString, b: &SecretString| a.expose_secret() == b.expose_secret();
        match (self, other) {
            (Self::App { app_id: a, app_secret: b }, Self::App { app_id: c, app_secret: d }) => a == c && equal(b, d),
            (Self::Token { token: a, prefix: b }, Self::Token { token: c, prefix: d }) => equal(a, c) && b == d,
            _ => false,
        }
    }
}
