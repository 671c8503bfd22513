"""The body of `POST /v3/mail/send`, field by field.

Limits and required fields are those of the vendor's OpenAPI description (tsg_mail_v3.json,
January 2026) and of the pages "Mail Send API overview" and "Errors"; the messages are the
latter's. Deviations, all on the strict side or forced:

* The description types the message's own `custom_args` as a string; the documentation, the
  SDK and the service take an object, and so does this.
* A sandbox account has no stored templates, so any `template_id` is refused as unknown. Ids of
  unsubscribe groups, IP pools and batches are only checked for their form.
* `sections`, `mail_settings.spam_check` and `mail_settings.bcc` are gone from the description
  and refused as unknown.
* A line break in a subject, a name or a header's value is refused: there it starts a header of
  the writer's choosing (RFC 5322 §2.2).
"""

from __future__ import annotations

from notifier.sandbox.sendgrid_fields import (
    ascii_only,
    base64_text,
    disposition,
    header_names,
    mailbox,
    no_repeats,
    no_template,
    small,
    strings,
    switch,
)
from notifier.sandbox.shapes import any_object, array, boolean, every, integer, record, text

RECIPIENTS_MAX = 1000
_EXAMPLE = (
    'e.g. {"email": "example@example.com"} or'
    ' {"email": "example@example.com", "name": "Example Recipient"}'
)

_SUBJECT = text(
    "The subject of your email must be a string at least one character in length.",
    least=1,
    without="\r\n",
)
_SEND_AT = integer("The send_at parameter is expecting a Unix timestamp as an integer.")
_HEADERS = every(strings("All values of the headers object must be strings."), header_names)
_CUSTOM_ARGS = strings(
    "All values of custom arguments object must be strings", "custom_args cannot be empty."
)
_SUBSTITUTIONS = every(
    strings(
        "The substitution values must be an object of key/value pairs, where the values are all"
        " strings."
    ),
    small("The total size of your substitutions may not exceed 10,000 bytes."),
)
_FROM = mailbox("The from email does not contain a valid address.", unwanted_in_name="\r\n")
_TO = mailbox("Does not contain a valid address.", unwanted_in_name=";,\r\n")
_REPLY_TO = mailbox(
    f"The reply_to object must have an email parameter with a valid email address. {_EXAMPLE}",
    unwanted_in_name="\r\n",
)
_NO_TO = (
    "The to array is required for all personalization objects, and must have at least one email"
    " object with a valid email address."
)
_COPIES = "The cc and bcc arrays must have 1 to 1000 email objects with a valid email address."
_PERSONALIZATION = record(
    {
        "from": _FROM,
        "to": array(_TO, _NO_TO, least=1),
        "cc": array(_TO, _COPIES, least=1, most=RECIPIENTS_MAX),
        "bcc": array(_TO, _COPIES, least=1, most=RECIPIENTS_MAX),
        "subject": _SUBJECT,
        "headers": _HEADERS,
        "substitutions": _SUBSTITUTIONS,
        "dynamic_template_data": any_object("The dynamic_template_data must be an object."),
        "custom_args": _CUSTOM_ARGS,
        "send_at": _SEND_AT,
    },
    "Each personalization must be an object.",
    required={"to": _NO_TO},
)
_CONTENT_TYPE = "Your content type must be a string without ';', ',' or CRLF characters."
_CONTENT_VALUE = "The content value must be a string at least one character in length."
_CONTENT = record(
    {
        "type": text(_CONTENT_TYPE, least=1, without=";,\r\n"),
        "value": text(_CONTENT_VALUE, least=1),
    },
    "Each content block must be an object.",
    required={
        "type": "A content type is required, this tells email clients how to display the email.",
        "value": "A content value is required, this is the content of the email you are sending.",
    },
)
_FILE_CONTENT = "The attachment content must be a string at least one character in length."
_FILE_NAME = "The filename of your attachment must be a string without CRLF characters."
_ATTACHMENT = record(
    {
        "content": every(
            text(_FILE_CONTENT, least=1),
            base64_text,
        ),
        "type": text(
            "The attachment type must be a string without ';' or CRLF characters.",
            least=1,
            without=";,\r\n",
        ),
        "filename": text(_FILE_NAME, least=1, without=";,\r\n"),
        "disposition": disposition,
        "content_id": text("The content ID of your attachment must be a string.", without=";,\r\n"),
    },
    "Each attachment must be an object.",
    required={
        "content": _FILE_CONTENT,
        "filename": "filename is required.",
    },
)
_ASM = record(
    {
        "group_id": integer("The ASM group ID must be an integer."),
        "groups_to_display": array(
            integer("The ASM Group IDs to display must be an array of integers."),
            "There is a limit of 25 unsubscribe groups that can be displayed to a user at a time.",
            most=25,
        ),
    },
    "The asm parameter must be an object.",
    required={"group_id": "The ASM group ID must be an integer."},
)
_STRING = text("must be a string.")
_MAIL_SETTINGS = record(
    {
        "bypass_list_management": switch("bypass list management"),
        "bypass_spam_management": switch("bypass spam management"),
        "bypass_bounce_management": switch("bypass bounce management"),
        "bypass_unsubscribe_management": switch("bypass unsubscribe management"),
        "footer": switch("footer", text=_STRING, html=_STRING),
        "sandbox_mode": switch("sandbox mode"),
    },
    "The mail_settings parameter must be an object.",
)
_TRACKING_SETTINGS = record(
    {
        "click_tracking": switch(
            "click tracking",
            enable_text=boolean("The click tracking enable text must be a boolean value."),
        ),
        "open_tracking": switch("open tracking", substitution_tag=_STRING),
        "subscription_tracking": switch(
            "subscription tracking", text=_STRING, html=_STRING, substitution_tag=_STRING
        ),
        "ganalytics": switch(
            "Google Analytics",
            utm_source=_STRING,
            utm_medium=_STRING,
            utm_term=_STRING,
            utm_content=_STRING,
            utm_campaign=_STRING,
        ),
    },
    "The tracking_settings parameter must be an object.",
)
MAIL = record(
    {
        "personalizations": array(
            _PERSONALIZATION,
            "The personalizations field must have 1 to 1000 personalizations.",
            least=1,
            most=1000,
        ),
        "from": _FROM,
        "reply_to": _REPLY_TO,
        "reply_to_list": every(
            array(_REPLY_TO, "The reply_to_list must be an array of up to 1000.", most=1000),
            no_repeats("The reply_to_list must not name one address twice."),
        ),
        "subject": _SUBJECT,
        "content": array(_CONTENT, "There must be at least one defined content block.", least=1),
        "attachments": array(_ATTACHMENT, "The attachments must be an array."),
        "template_id": no_template,
        "headers": _HEADERS,
        "categories": every(
            array(
                every(
                    text("Each category must be a string of up to 255 characters.", most=255),
                    ascii_only,
                ),
                "There is a limit of 10 categories for each email that is sent.",
                most=10,
            ),
            no_repeats("The categories must be a unique list."),
        ),
        "custom_args": _CUSTOM_ARGS,
        "send_at": _SEND_AT,
        "batch_id": text("The batch_id must be a string."),
        "asm": _ASM,
        "ip_pool_name": text(
            "The name of your IP pool must be a string of 2 to 64 characters.", least=2, most=64
        ),
        "mail_settings": _MAIL_SETTINGS,
        "tracking_settings": _TRACKING_SETTINGS,
    },
    "Bad Request",
    required={
        "personalizations": (
            "The personalizations field is required and must have at least one personalization."
        ),
        "from": "The from object must be provided for every email send.",
        "content": "The content param is required.",
    },
)
