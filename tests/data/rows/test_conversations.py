"""Messages as the lines of prepared rows hold them."""

from tutelage.data.rows.conversations import ChatMessage, Conversation, message_records, messages_of

MESSAGES = (
    ChatMessage("system", "Be brief."),
    ChatMessage("user", "Translate", "Guten Tag"),
    ChatMessage("assistant", "Let me look.", calls=('{"name": "look"}',)),
    ChatMessage("tool", "Good day"),
    ChatMessage("user", ""),
    ChatMessage("assistant", "Good day."),
)


def test_records_keep_role_content_and_input_of_every_message():
    read = messages_of(message_records(MESSAGES))
    assert [(one.role, one.content, one.input) for one in read] == [
        (one.role, one.content, one.input) for one in MESSAGES
    ]
    assert read[1].text == "Translate", "a prompt template places the input itself"
    assert "<tool_call>" in read[2].text


def test_the_answer_is_not_among_the_messages_before_it():
    records = Conversation(3, MESSAGES).context_records
    assert [record["role"] for record in records] == [one.role for one in MESSAGES[:-1]]
    assert "Good day." not in [record["content"] for record in records]
