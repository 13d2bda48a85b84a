//! Who may ask: a personal token, an installation's token, or the App itself with a signed JWT.
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde::Deserialize;
use std::time::{SystemTime, UNIX_EPOCH};

/// A personal access token that the server takes.
pub const TOKEN: &str = "ghp_forgeServerTestTokenOfNobody0000000";
pub const APP_ID: &str = "4711";
pub const INSTALLATION: u64 = 8_150_815;
/// The App's private key, made for these tests and good for nothing else: PKCS#1, as GitHub gives it.
pub const APP_KEY: &str = include_str!("app-key.pem");
/// The same key as PKCS#8.
pub const APP_KEY_PKCS8: &str = include_str!("app-key.pkcs8.pem");

/// GitHub refuses a JWT that lives longer.
const JWT_MAX_S: u64 = 600;

#[derive(Deserialize)]
struct Claims {
    iat: u64,
    exp: u64,
    iss: serde_json::Value,
}

pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Why this is not a JWT of the App's, in GitHub's words.
pub(crate) fn verify_jwt(jwt: &str) -> Result<(), &'static str> {
    const UNREADABLE: &str = "A JSON web token could not be decoded";
    let mut parts = jwt.split('.');
    let (Some(header), Some(claims), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(UNREADABLE);
    };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| UNREADABLE);
    let head: serde_json::Value =
        serde_json::from_slice(&decode(header)?).map_err(|_| UNREADABLE)?;
    if head["alg"] != "RS256" {
        return Err(UNREADABLE);
    }
    let signed = format!("{header}.{claims}");
    let key = public_key().ok_or("the server's own key does not parse")?;
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
        .verify(signed.as_bytes(), &decode(signature)?)
        .map_err(|_| UNREADABLE)?;
    let claims: Claims = serde_json::from_slice(&decode(claims)?).map_err(|_| UNREADABLE)?;
    let now = now_s();
    match claims {
        Claims { iss, .. } if iss != APP_ID && iss != 4711 => {
            Err("'Issuer' claim ('iss') must be an Integer")
        }
        Claims { iat, .. } if iat > now => Err(
            "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
        ),
        Claims { exp, .. } if exp <= now => Err(
            "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
        ),
        Claims { exp, .. } if exp > now + JWT_MAX_S => {
            Err("'Expiration time' claim ('exp') is too far in the future")
        }
        Claims { .. } => Ok(()),
    }
}

fn public_key() -> Option<Vec<u8>> {
    let body: String = APP_KEY_PKCS8.lines().filter(|line| !line.starts_with('-')).collect();
    let key = RsaKeyPair::from_pkcs8(&STANDARD.decode(body).ok()?).ok()?;
    Some(key.public_key().as_ref().to_vec())
}
