//! What kubelet says of pulling a job's image.

use crate::reasons::Reason;

/// Whether kubelet's word on a pull is the registry's that the image is not there, now and later; not where the pull may
/// still succeed (a registry that is away, a login that is refused, a node without room).
pub(crate) fn missing(reason: &Reason, message: &str) -> bool {
    const WORDS: [&str; 5] =
        [": not found", "manifest unknown", "no match for platform", "no matching manifest", "name unknown"];
    let pulls = matches!(reason, Reason::ErrImagePull | Reason::ImagePullBackOff);
    // A name that DNS does not know is no image that a registry does not have.
    let asked = !["lookup ", "no such host", "dial tcp"].iter().any(|word| message.contains(word));
    pulls && asked && WORDS.iter().any(|word| message.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_registrys_own_word_says_that_an_image_is_not_there() {
        let resolve = "failed to pull and unpack image \"r.io/x:1\": failed to resolve reference \"r.io/x:1\"";
        for (reason, message, expected) in [
            ("ErrImagePull", format!("rpc error: code = NotFound desc = {resolve}: r.io/x:1: not found"), true),
            (
                "ImagePullBackOff",
                format!("Back-off pulling image \"r.io/x:1\": ErrImagePull: {resolve}: r.io/x:1: not found"),
                true,
            ),
            ("ErrImagePull", "no match for platform in manifest: not found".to_owned(), true),
            ("ErrImagePull", "reading manifest 1 in r.io/x: manifest unknown".to_owned(), true),
            ("ImagePullBackOff", "Back-off pulling image \"r.io/x:1\"".to_owned(), false),
            ("ErrImagePull", format!("{resolve}: dial tcp: lookup r.io: no such host"), false),
            ("ErrImagePull", format!("{resolve}: dial tcp: lookup r.io: server r.io: not found"), false),
            ("ErrImagePull", format!("{resolve}: unexpected status: 503 Service Unavailable"), false),
            ("ErrImagePull", format!("{resolve}: 401 Unauthorized"), false),
            ("CreateContainerError", "x: not found".to_owned(), false),
        ] {
            assert_eq!(missing(&Reason::of_kubernetes(reason), &message), expected, "{reason} {message}");
        }
    }
}
