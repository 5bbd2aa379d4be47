use super::*;

fn about<'a>() -> About<'a> {
    About { id: "run-7", created: 7, model: "support", include_usage: true, request: b"{}" }
}

#[test]
fn a_stream_of_messages_becomes_one_of_chat() {
    let stream = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"m\",\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n\
        event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
        event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n\
        event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n\
        event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n\
        event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let mut converter =
        StreamConverter::new(Dialect::Messages, Dialect::Chat, &about(), &Lossy::default(), 1 << 20);
    let out = converter.feed(stream.as_bytes()).unwrap();
    let text = String::from_utf8(out.to_vec()).unwrap();
    assert!(text.contains(r#""delta":{"content":"Hi"}"#), "{text}");
    assert!(text.contains(r#""finish_reason":"stop""#) && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert!(converter.is_over() && converter.finish().is_empty());
}
