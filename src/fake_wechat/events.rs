//! Events whose content stands in lists, and those WeChat sends of its own accord after a call (PROTOCOL.md §3). Writes
//! XML from `<Event>` on; sends nothing.

use super::push::write;

/// The follower answered the popup: one `List` a template, all within one wrapper.
pub(super) fn popup(answers: &[(String, bool)]) -> String {
    let lists = answers.iter().map(|(template, accepted)| {
        let status = if *accepted { "accept" } else { "reject" };
        list(&[("TemplateId", template), ("SubscribeStatusString", status), ("PopupScene", "1")])
    });
    wrapped("subscribe_msg_popup_event", "SubscribeMsgPopupEvent", lists)
}

/// The follower switched notifications off.
pub(super) fn switched_off(templates: &[String]) -> String {
    let lists = templates
        .iter()
        .map(|template| list(&[("TemplateId", template), ("SubscribeStatusString", "reject")]));
    wrapped("subscribe_msg_change_event", "SubscribeMsgChangeEvent", lists)
}

/// A subscribe notification has reached its follower.
pub(super) fn notification_sent(template: &str, msg_id: u64) -> String {
    let msg_id = msg_id.to_string();
    let fields =
        [("TemplateId", template), ("MsgID", &msg_id), ("ErrorCode", "0"), ("ErrorStatus", "success")];
    wrapped("subscribe_msg_sent_event", "SubscribeMsgSentEvent", [list(&fields)].into_iter())
}

/// A template message has reached its follower.
pub(super) fn template_done(msg_id: u64) -> String {
    let mut xml = String::new();
    write(&mut xml, "Event", "TEMPLATESENDJOBFINISH");
    // Capitals, unlike the MsgId of messages.
    xml.push_str(&format!("<MsgID>{msg_id}</MsgID>"));
    write(&mut xml, "Status", "success");
    xml
}

fn wrapped(event: &str, wrapper: &str, lists: impl Iterator<Item = String>) -> String {
    let mut xml = String::new();
    write(&mut xml, "Event", event);
    xml.push_str(&format!("<{wrapper}>{}</{wrapper}>", lists.collect::<String>()));
    xml
}

fn list(fields: &[(&str, &str)]) -> String {
    let mut xml = "<List>".to_owned();
    fields.iter().for_each(|(name, value)| write(&mut xml, name, value));
    xml.push_str("</List>");
    xml
}

#[cfg(test)]
mod tests {
    use super::{notification_sent, popup};

    #[test]
    fn a_list_repeats_within_one_wrapper_and_numbers_are_in_capitals() {
        let xml = popup(&[("a".into(), true), ("b]]>".into(), false)]);
        assert!(xml.starts_with(
            "<Event><![CDATA[subscribe_msg_popup_event]]></Event><SubscribeMsgPopupEvent><List>"
        ));
        assert_eq!((xml.matches("<List>").count(), xml.matches("PopupEvent>").count()), (2, 2));
        assert!(xml.contains("accept") && xml.contains("reject") && xml.contains("b]]]]><![CDATA[>"));
        assert!(notification_sent("a", 7).contains("<MsgID><![CDATA[7]]></MsgID>"));
    }
}
