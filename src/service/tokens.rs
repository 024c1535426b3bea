//! Join tokens: making, listing, deleting.

use std::time::Duration;

use super::{Admin, Authorized, Operator, Service, ServiceError, reserved_label};
use crate::base::Id;
use crate::base::limits::{
    REASON_CHARS_MAX, TOKEN_LIFETIME_MAX, TOKEN_LIFETIME_MIN, TOKEN_RULES_MAX, TOKEN_USES_MAX,
};
use crate::model::{
    Approval, IdentityKind, JoinToken, Labels, NameRules, Page, PageRequest, Permission, Token,
};
use crate::pki::AddressRange;
use crate::store::StoreError;

/// A token to make.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What it enrols.
    pub kind: IdentityKind,
    /// Names and addresses it may claim; at least one name.
    pub rules: NameRules,
    /// Where it may be used from; empty: anywhere.
    pub sources: Vec<AddressRange>,
    /// How many certificates, 1 to [`TOKEN_USES_MAX`].
    pub uses: u32,
    /// How long, [`TOKEN_LIFETIME_MIN`] to [`TOKEN_LIFETIME_MAX`].
    pub lifetime: Duration,
    /// Labels the identities get.
    pub labels: Labels,
    /// Role the clients get.
    pub role: Option<String>,
    /// Permission the clients get; admins only.
    pub permission: Option<Permission>,
    /// Whether an operator must approve.
    pub approval: Approval,
    /// Whether it may take over a name.
    pub replace: bool,
    /// Why.
    pub reason: String,
}

/// Why a token was not made or deleted.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It could enrol nobody.
    #[error("a token needs at least one name pattern, such as web-*.fleet.internal")]
    NoNames,
    /// Too many patterns or blocks.
    #[error("at most {TOKEN_RULES_MAX} {0} fit in a token: make two")]
    TooMany(&'static str),
    /// Outside the bounds.
    #[error("uses {0} is outside 1 to {TOKEN_USES_MAX}")]
    Uses(u32),
    /// Outside the bounds.
    #[error("a token lives {} to {} seconds; {} were asked for", TOKEN_LIFETIME_MIN.as_secs(), TOKEN_LIFETIME_MAX.as_secs(), .0.as_secs())]
    Lifetime(Duration),
    /// Role and permission are for clients.
    #[error("{0} is for clients: a host has neither role nor permission")]
    ClientsOnly(&'static str),
    /// Not a role's name.
    #[error("{0:?} is not a role's name: use 1 to 63 of a-z, 0-9 and '-'")]
    Role(String),
    /// A role that there is not.
    #[error("there is no role {0}: dockwarden role ls shows all")]
    NoRole(String),
    /// Only an admin gives permissions.
    #[error("only an admin may make tokens that give a permission on the server")]
    Permission,
    /// Too long.
    #[error("the reason has more than {REASON_CHARS_MAX} characters, or control characters")]
    Reason,
    /// A label that is the server's own.
    #[error("the label {0:?} is reserved for the server: leave it out")]
    ReservedLabel(String),
    /// There is none with this id.
    #[error("no token has id {0}, or it was deleted before")]
    Unknown(Id),
    /// Not the caller's fault.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl From<StoreError> for TokenError {
    fn from(error: StoreError) -> Self {
        Self::Service(error.into())
    }
}

impl NewToken {
    fn check(&self) -> Result<(), TokenError> {
        if self.rules.names.is_empty() {
            return Err(TokenError::NoNames);
        }
        let lists = [
            ("name patterns", self.rules.names.len()),
            ("address blocks", self.rules.addresses.len()),
            ("source blocks", self.sources.len()),
        ];
        if let Some((what, _)) = lists.into_iter().find(|(_, len)| *len > TOKEN_RULES_MAX) {
            return Err(TokenError::TooMany(what));
        }
        if !(1..=TOKEN_USES_MAX).contains(&self.uses) {
            return Err(TokenError::Uses(self.uses));
        }
        if !(TOKEN_LIFETIME_MIN..=TOKEN_LIFETIME_MAX).contains(&self.lifetime) {
            return Err(TokenError::Lifetime(self.lifetime));
        }
        if self.reason.chars().count() > REASON_CHARS_MAX || self.reason.chars().any(char::is_control) {
            return Err(TokenError::Reason);
        }
        if let Some(key) = reserved_label(&self.labels) {
            return Err(TokenError::ReservedLabel(key.to_owned()));
        }
        self.check_role()
    }

    fn check_role(&self) -> Result<(), TokenError> {
        let is_host = self.kind == IdentityKind::Host;
        if is_host && self.role.is_some() {
            return Err(TokenError::ClientsOnly("a role"));
        }
        if is_host && self.permission.is_some() {
            return Err(TokenError::ClientsOnly("a permission"));
        }
        let shaped = |role: &&String| {
            (1..=63).contains(&role.len())
                && role
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        match self.role.as_ref().filter(|role| !shaped(role)) {
            Some(role) => Err(TokenError::Role(role.chars().take(80).collect())),
            None => Ok(()),
        }
    }
}

impl Service {
    /// Makes a token. The only moment its secret exists on this side.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn create_token(
        &self,
        operator: &Authorized<Operator>,
        new: NewToken,
    ) -> Result<(JoinToken, Token), TokenError> {
        new.check()?;
        if new.permission.is_some() && !operator.reaches::<Admin>() {
            return Err(TokenError::Permission);
        }
        if let Some(role) = &new.role
            && !self.is_role(role).await?
        {
            return Err(TokenError::NoRole(role.clone()));
        }
        let now = self.clock.now();
        let joining = JoinToken::draw(&*self.random, self.authority.pins());
        let token = Token {
            id: joining.id,
            secret_sha256: joining.secret_sha256(),
            kind: new.kind,
            rules: new.rules,
            sources: new.sources,
            uses_max: new.uses,
            uses_left: new.uses,
            expires_at: now + new.lifetime,
            labels: new.labels,
            role: new.role,
            permission: new.permission,
            approval: new.approval,
            replace: new.replace,
            created_at: now,
            created_by: operator.identity().name.to_string(),
            reason: new.reason,
            deleted_at: None,
        };
        self.store
            .create_token(token.clone(), operator.actor(), operator.source())
            .await?;
        Ok((joining, token))
    }

    /// Tokens that were not deleted, newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn tokens(
        &self,
        _operator: &Authorized<Operator>,
        page: PageRequest,
    ) -> Result<Page<Token>, ServiceError> {
        Ok(self.store.tokens(page).await?)
    }

    /// Makes a token unusable, at once and for good.
    ///
    /// # Errors
    /// [`TokenError::Unknown`], the store's.
    pub async fn delete_token(&self, operator: &Authorized<Operator>, id: Id) -> Result<(), TokenError> {
        let deleted = self
            .store
            .delete_token(id, operator.actor(), self.clock.now())
            .await?;
        self.tokens.forget(&id);
        if deleted {
            Ok(())
        } else {
            Err(TokenError::Unknown(id))
        }
    }
}
