//! An App's own words: a JWT, signed with its private key.
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};

/// GitHub refuses more than ten minutes; a minute back is for clocks that differ.
const BACK_S: u64 = 60;
const AHEAD_S: u64 = 480;

/// Why there is no JWT. Says nothing of the key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("it is not a PEM file")]
    NotPem,
    #[error("it is not an RSA private key in PKCS#1 or PKCS#8 form")]
    NotRsa,
    #[error("it can't sign")]
    Signing,
}

/// `app` by its id or client id, at this second of GitHub's clock.
pub(crate) fn jwt(app: &str, pem: &str, now_s: u64) -> Result<String, KeyError> {
    let key = key(pem)?;
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#);
    let (iat, exp) = (now_s.saturating_sub(BACK_S), now_s.saturating_add(AHEAD_S));
    let claims = serde_json::json!({ "iat": iat, "exp": exp, "iss": app }).to_string();
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| KeyError::Signing)?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn key(pem: &str) -> Result<RsaKeyPair, KeyError> {
    // A key that went through an environment variable has its line ends as two characters.
    let pem = pem.replace("\\n", "\n");
    let body: String = pem.lines().map(str::trim).filter(|line| !line.starts_with('-')).collect();
    if body.is_empty() || !pem.contains("-----BEGIN") {
        return Err(KeyError::NotPem);
    }
    let der = STANDARD.decode(body).map_err(|_| KeyError::NotPem)?;
    let pair = RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der));
    pair.map_err(|_| KeyError::NotRsa)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_none_is_said_to_be_none() {
        let not_rsa = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
        for (pem, expect) in [
            ("", "it is not a PEM file"),
            ("s3cret", "it is not a PEM file"),
            (not_rsa, "it is not an RSA private key in PKCS#1 or PKCS#8 form"),
        ] {
            let said = jwt("1", pem, 1_000).expect_err("no key").to_string();
            assert_eq!(said, expect);
        }
    }
}
