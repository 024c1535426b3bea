//! A certificate with its key: checked by the rules of those who will check it, then put in place whole.

use zeroize::Zeroizing;

use super::super::{Error, World};
use super::home::{DOCKER, FILES, Home, State};
use crate::base::{Timestamp, limits::PEM_BYTES_MAX};
use crate::pki::chain::{self, Anchors, Purpose, VerifiedPeer};
use crate::pki::tls::{Pins, TlsIdentity};
use crate::pki::{LeafKey, pem};
use crate::sys::Access;
use crate::sys::versions::VersionFile;
use crate::wire::Issued;

/// How far through its lifetime a certificate is renewed: uniform in this range (DESIGN: renewal point).
const RENEW_POINT: std::ops::Range<f64> = 0.6..0.75;

/// The three files, checked. Only [`Pair::check`] makes one.
pub struct Pair {
    ca: String,
    chain: String,
    key: Zeroizing<String>,
    peer: VerifiedPeer,
}

impl Pair {
    /// Checks that the certificate is for this key, is a client's, is valid now and leads to the root it came
    /// with; and, for a first certificate, that this root is a pinned one.
    pub fn check(issued: &Issued, key: &LeafKey, pins: Option<&Pins>, now: Timestamp) -> Result<Self, Error> {
        let wrong = |what: &dyn std::fmt::Display| {
            Error::Found(format!(
                "the server answered with a certificate that cannot be used: {what}\n  Nothing was changed here. Is this machine's clock right?"
            ))
        };
        let chain = pem::certificates(&issued.chain).map_err(|e| wrong(&format!("its chain {e}")))?;
        let ca = pem::certificates(&issued.ca).map_err(|e| wrong(&format!("its root {e}")))?;
        if pins.is_some_and(|pins| pins.anchors_in(&ca).is_none()) {
            return Err(wrong(&"its root is not the one the join token pins"));
        }
        let anchors = Anchors::parse(&ca).map_err(|e| wrong(&e))?;
        TlsIdentity::pair(chain.clone(), key.to_pkcs8_der().into()).map_err(|e| wrong(&e))?;
        let peer = chain::verify(&chain, &anchors, Purpose::Client, now).map_err(|e| wrong(&e))?;
        if peer.name().as_str() != issued.name {
            return Err(wrong(&"it names somebody else than the answer does"));
        }
        Ok(Self {
            ca: issued.ca.clone(),
            chain: issued.chain.clone(),
            key: key.to_pkcs8_pem(),
            peer,
        })
    }

    /// Who it is, and until when.
    pub fn peer(&self) -> &VerifiedPeer {
        &self.peer
    }

    /// When to renew it: drawn now, and no later than the server wants it.
    pub fn draw_renewal(&self, world: &World, latest: Timestamp) -> Timestamp {
        let (start, end) = (self.peer.not_before(), self.peer.not_after());
        let lifetime = end.since(start);
        (start + lifetime.mul_f64(world.random.between(RENEW_POINT))).min(latest)
    }

    /// Puts the pair in place with one rename, and writes down what is known about it first. Can be repeated.
    pub fn install(&self, world: &World, home: &Home, state: &State) -> Result<(), Error> {
        let versions = home.versions(world);
        let names = FILES.map(|file| format!("{DOCKER}/{file}"));
        let contents = [self.ca.as_bytes(), self.chain.as_bytes(), self.key.as_bytes()];
        let access = [Access::Public, Access::Public, Access::Private];
        let in_use = versions.current()?.filter(|v| {
            names.iter().zip(contents).all(|(name, wanted)| {
                versions
                    .read(*v, name, PEM_BYTES_MAX)
                    .is_ok_and(|found| found == wanted)
            })
        });
        let version = match in_use {
            Some(version) => version,
            None => {
                let files: Vec<VersionFile<'_>> = names
                    .iter()
                    .zip(contents)
                    .zip(access)
                    .map(|((name, contents), access)| VersionFile {
                        name,
                        contents,
                        access,
                    })
                    .collect();
                versions.write(&files)?
            }
        };
        home.save_profile(world, &state.server)?;
        home.save(world, state)?;
        versions.activate(version)?;
        Ok(versions.prune()?)
    }
}
