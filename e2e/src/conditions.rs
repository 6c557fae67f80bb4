//! Reading `status.conditions`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Is the condition of this type there and `True`?
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    conditions.iter().any(|condition| condition.type_ == type_ && condition.status == "True")
}

/// The reason of the condition of this type.
pub fn reason<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a str> {
    conditions.iter().find(|condition| condition.type_ == type_).map(|condition| condition.reason.as_str())
}

/// All conditions in one line.
pub fn text(conditions: &[Condition]) -> String {
    if conditions.is_empty() {
        return "no conditions yet".to_owned();
    }
    let each: Vec<_> =
        conditions.iter().map(|c| format!("{}={} {}: {}", c.type_, c.status, c.reason, c.message)).collect();
    each.join("; ")
}
