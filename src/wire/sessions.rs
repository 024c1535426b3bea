//! `GET` and `POST /v1/sessions`, `DELETE /v1/sessions/{id}`.

use serde::{Deserialize, Serialize};

use crate::base::{Id, Timestamp};
use crate::pki::Serial;

/// A link that signs a browser in, once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SessionOffer {
    /// The link's path on this server. Holds a secret.
    pub path: String,
    /// Until when it may be used.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for SessionOffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionOffer")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A browser that is signed in, or a link that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SessionView {
    /// Named to end it.
    #[cfg_attr(feature = "server", schema(value_type = String))]
    pub id: Id,
    /// Whose it is.
    pub name: String,
    /// The certificate it ends with.
    #[cfg_attr(feature = "server", schema(value_type = String))]
    pub serial: Serial,
    /// When the link was made.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When it was used; absent while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>, format = DateTime))]
    pub started_at: Option<Timestamp>,
    /// When something last happened in the session.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub seen_at: Timestamp,
    /// When it ends, if nothing happens until then.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub ends_at: Timestamp,
    /// Where the link was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Sessions, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SessionList {
    /// All that are open or wait.
    pub items: Vec<SessionView>,
}
