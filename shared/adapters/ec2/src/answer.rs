//! What EC2 answers, in XML.
use adapter_aws::Failure;
use aws_smithy_xml::decode::{Document, ScopedDecoder, try_data};

/// The text of an element without children.
pub(crate) fn text(tag: &mut ScopedDecoder<'_, '_>) -> Option<String> {
    try_data(tag).ok().map(|text| text.trim().to_owned())
}

/// Calls for each child of an element, by its name.
pub(crate) fn each<'inp>(
    tag: &mut ScopedDecoder<'inp, '_>,
    mut then: impl FnMut(&str, &mut ScopedDecoder<'inp, '_>),
) {
    while let Some(mut child) = tag.next_tag() {
        let name = child.start_el().local().to_owned();
        then(&name, &mut child);
    }
}

/// `<Response><Errors><Error><Code/><Message/></Error></Errors><RequestID/></Response>`, which is
/// EC2's own; anything else is told by its status alone.
pub(crate) fn failure(status: u16, xml: &str) -> Failure {
    let (mut code, mut words, mut request) = (None, None, None);
    let mut document = Document::new(xml);
    if let Ok(mut root) = document.root_element() {
        each(&mut root, |name, tag| match name {
            "Errors" => each(tag, |_, error| {
                each(error, |name, tag| match name {
                    "Code" => code = text(tag),
                    "Message" => words = text(tag),
                    _ => {}
                });
            }),
            "RequestID" | "RequestId" => request = text(tag),
            _ => {}
        });
    }
    Failure::of_answer(status, code, words, request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_in_ec2s_words() {
        let told = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>\
                    InvalidInstanceID.NotFound</Code><Message>The instance ID 'i-1' does not \
                    exist</Message></Error></Errors><RequestID>ea966190</RequestID></Response>";
        for (status, xml, expected) in [
            (
                400,
                told,
                "AWS answered 400 InvalidInstanceID.NotFound: The instance ID 'i-1' does not \
                 exist (request ea966190)",
            ),
            (503, "<html>busy</html>", "AWS answered 503"),
            (502, "bad gateway", "AWS answered 502"),
            (500, "", "AWS answered 500"),
            (400, "<Response><Errors><Error><Code>Cut", "AWS answered 400 Cut"),
        ] {
            assert_eq!(failure(status, xml).to_string(), expected);
        }
    }
}
