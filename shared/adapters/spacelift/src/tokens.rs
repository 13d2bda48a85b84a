//! The token of each request: an API key's, kept until shortly before its end.
use crate::client::{Client, Told};
use crate::variable;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::Mutex;
use windlass_ports::Fault;

const DOCUMENT: &str =
    "mutation($id:ID!,$secret:String!){apiKeyUser(id:$id,secret:$secret){jwt validUntil}}";
/// A token that ends sooner is replaced.
const LEFT_MIN_S: i64 = 60;

/// Held while a token is fetched: whoever comes meanwhile waits for the same one.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<Option<Token>>);

struct Token {
    jwt: String,
    /// Seconds since 1970, by Spacelift's clock.
    until_s: i64,
}

impl Tokens {
    /// `refused`: the one that Spacelift has just not accepted.
    pub(crate) async fn get(
        &self,
        client: &Client,
        refused: Option<&str>,
    ) -> Result<String, Fault> {
        let mut held = self.0.lock().await;
        let good = |token: &&Token| {
            refused != Some(token.jwt.as_str()) && token.until_s > now_s() + LEFT_MIN_S
        };
        if let Some(token) = held.as_ref().filter(good) {
            return Ok(token.jwt.clone());
        }
        let token = client.exchange().await?;
        let jwt = token.jwt.clone();
        *held = Some(token);
        Ok(jwt)
    }
}

impl Client {
    /// A token for the key; if the key is refused, once more with its secret read past any cache.
    async fn exchange(&self) -> Result<Token, Fault> {
        let secret = self.key_secret(false).await?;
        if let Some(token) = self.exchange_with(&secret).await? {
            return Ok(token);
        }
        let fresh = self.key_secret(true).await?;
        let token = if fresh == secret { None } else { self.exchange_with(&fresh).await? };
        token.ok_or_else(|| {
            Fault::poison(format!(
                "Spacelift does not accept the API key: check {}, and the secret that {} names",
                variable::KEY_ID,
                variable::KEY_SECRET,
            ))
        })
    }

    async fn key_secret(&self, fresh: bool) -> Result<String, Fault> {
        let name = &self.key_secret_name;
        let found = match fresh {
            true => self.secrets.fresh(name).await?,
            false => self.secrets.get(name).await?,
        };
        let found = found.map(|secret| secret.trim().to_owned()).filter(|s| !s.is_empty());
        // It may be put there any time, so it is worth another try.
        found.ok_or_else(|| {
            Fault::retryable(format!("there is no secret {name}: check {}", variable::KEY_SECRET))
        })
    }

    /// None: the key is refused.
    async fn exchange_with(&self, secret: &str) -> Result<Option<Token>, Fault> {
        let variables = json!({ "id": self.key_id, "secret": secret });
        let what = "get a token for the API key";
        let data = match self.send(what, DOCUMENT, &variables, None).await? {
            Told::Data(data) => data,
            Told::Unauthorized => return Ok(None),
            Told::Refused(refusal) if refusal.is_not_found() => return Ok(None),
            Told::Refused(refusal) => return Err(refusal.without(&[secret]).fault(what)),
        };
        let user = &data["apiKeyUser"];
        if user.is_null() {
            return Ok(None);
        }
        let jwt = user["jwt"].as_str().filter(|jwt| !jwt.is_empty());
        let jwt =
            jwt.ok_or_else(|| Fault::retryable(format!("can't {what}: there is none in it")))?;
        // Without an end it serves this one request.
        let until_s = user["validUntil"].as_i64().unwrap_or_default();
        Ok(Some(Token { jwt: jwt.to_owned(), until_s }))
    }
}

fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(since).unwrap_or(i64::MAX)
}
