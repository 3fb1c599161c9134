//! Secrets nobody guesses, and what is kept of them.

use sha2::{Digest, Sha256};

/// 256 bits: beyond any guessing, so that no limit on attempts is needed.
const SECRET_BYTES: usize = 32;
const KEY_PREFIX: &str = "sk_";
/// An id is no secret; it only must not come twice.
const ID_BYTES: usize = 8;
/// No credential is longer; a longer one is not hashed.
pub(crate) const SECRET_LENGTH_MAX: usize = 256;

/// What is kept of a secret. A plain hash will do: a slow one makes guessing a *weak* secret expensive, and these are
/// 32 random bytes. To compare hashes tells a guesser nothing by its duration, since nobody can steer a hash's prefix.
pub(crate) type SecretHash = [u8; 32];

/// Why there is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandom;

/// A new API key: its id, its secret, which is seen this once, and what is kept of it.
///
/// # Errors
/// [`NoRandom`] where the system gives no random numbers.
pub fn new_key() -> Result<(String, String, [u8; 32]), NoRandom> {
    let secret = mint(KEY_PREFIX)?;
    let hash = hash(&secret);
    Ok((random_text::<ID_BYTES>("key_")?, secret, hash))
}

/// `prefix` and 32 random bytes in hexadecimal.
pub(crate) fn mint(prefix: &str) -> Result<String, NoRandom> {
    random_text::<SECRET_BYTES>(prefix)
}

/// `prefix` and `N` random bytes in hexadecimal.
pub(crate) fn random_text<const N: usize>(prefix: &str) -> Result<String, NoRandom> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(|_| NoRandom)?;
    let mut text = String::with_capacity(prefix.len() + 2 * N);
    text.push_str(prefix);
    for byte in bytes {
        for half in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(half)]));
        }
    }
    Ok(text)
}

pub(crate) fn hash(secret: &str) -> SecretHash {
    Sha256::digest(secret.as_bytes()).into()
}
