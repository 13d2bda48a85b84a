//! One call of the Query API: a form, signed, sent again where that may help.
//!
//! <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-requests.html>
use crate::answer;
use adapter_aws::{Aws, Failure, TRIES_MAX};
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SigningInstructions, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::Request;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use std::time::SystemTime;

const VERSION: &str = "2016-11-15";
const FORM: &str = "application/x-www-form-urlencoded";

/// Makes the call, which must be harmless when made twice. Answers with the XML of a success.
pub(crate) async fn call(
    aws: &Aws,
    action: &str,
    form: &[(String, String)],
) -> Result<String, Failure> {
    let body = encode(action, form);
    let mut attempts = 0;
    loop {
        attempts += 1;
        let asked = tokio::time::timeout(aws.attempt(), attempt(aws, &body)).await;
        let failure = match asked {
            Ok(Ok(text)) => return Ok(text),
            Ok(Err(failure)) => failure,
            Err(_) => Failure::no_answer("it took too long"),
        };
        if attempts >= TRIES_MAX || !is_worth_another(&failure) {
            return Err(failure);
        }
        tokio::time::sleep(Aws::pause(attempts)).await;
    }
}

/// No answer, EC2's own trouble, and throttling. Nobody mends a permission within a second.
fn is_worth_another(failure: &Failure) -> bool {
    failure.status().is_none_or(|status| status >= 500) && failure.may_pass()
        || failure.is(&["RequestLimitExceeded", "Throttling", "ThrottlingException"])
}

async fn attempt(aws: &Aws, body: &str) -> Result<String, Failure> {
    let request = signed(aws, body).await?;
    let answer = aws.connector().call(request).await;
    let answer = answer.map_err(|error| Failure::no_answer(error.to_string()))?;
    let status = answer.status().as_u16();
    let text = read(answer).await?;
    if (200..300).contains(&status) { Ok(text) } else { Err(answer::failure(status, &text)) }
}

async fn read(answer: HttpResponse) -> Result<String, Failure> {
    let cannot = || Failure::no_answer("the answer can't be read");
    let bytes = ByteStream::new(answer.into_body()).collect().await.map_err(|_| cannot())?;
    String::from_utf8(bytes.to_vec()).map_err(|_| cannot())
}

async fn signed(aws: &Aws, body: &str) -> Result<HttpRequest, Failure> {
    let region = aws.region();
    let url = match aws.endpoint("EC2") {
        Some(own) => format!("{}/", own.trim_end_matches('/')),
        None => format!("https://ec2.{region}.{}/", domain(region)),
    };
    let identity = aws.credentials().await?.into();
    let instructions = instructions(&url, region, &identity, body);
    let mut request = Request::new(SdkBody::from(body));
    let unsendable = |_| Failure::unsendable();
    request.set_method("POST").map_err(unsendable)?;
    request.set_uri(url).map_err(unsendable)?;
    request.headers_mut().try_insert("content-type", FORM).map_err(unsendable)?;
    for (name, value) in instructions.ok_or_else(Failure::unsendable)?.headers() {
        let (name, value) = (name.to_owned(), value.to_owned());
        request.headers_mut().try_insert(name, value).map_err(unsendable)?;
    }
    Ok(request)
}

/// What the signature adds; none when it can't be made.
fn instructions(
    url: &str,
    region: &str,
    identity: &aws_smithy_runtime_api::client::identity::Identity,
    body: &str,
) -> Option<SigningInstructions> {
    let params = v4::SigningParams::builder()
        .identity(identity)
        .region(region)
        .name("ec2")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .ok()?;
    let headers = std::iter::once(("content-type", FORM));
    let body = SignableBody::Bytes(body.as_bytes());
    let request = SignableRequest::new("POST", url, headers, body).ok()?;
    Some(sign(request, &params.into()).ok()?.into_parts().0)
}

/// <https://docs.aws.amazon.com/general/latest/gr/ec2-service.html>
fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

fn encode(action: &str, form: &[(String, String)]) -> String {
    let mut text = format!("Action={action}&Version={VERSION}");
    for (name, value) in form {
        text.push('&');
        escape(name, &mut text);
        text.push('=');
        escape(value, &mut text);
    }
    text
}

/// RFC 3986, section 2.3: everything but the unreserved.
fn escape(text: &str, into: &mut String) {
    use std::fmt::Write as _;
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_written_as_aws_reads_it() {
        let form = [("Filter.1.Name", "tag:windlass:pool"), ("Filter.1.Value.1", "große & = +~")];
        let form = form.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            encode("DescribeInstances", &form),
            "Action=DescribeInstances&Version=2016-11-15&Filter.1.Name=tag%3Awindlass%3Apool\
             &Filter.1.Value.1=gro%C3%9Fe%20%26%20%3D%20%2B~"
        );
    }

    #[test]
    fn a_region_tells_its_domain() {
        for (region, expected) in
            [("eu-central-1", "amazonaws.com"), ("cn-north-1", "amazonaws.com.cn")]
        {
            assert_eq!(domain(region), expected);
        }
    }
}
