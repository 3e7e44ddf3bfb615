"""What is delivered for a sign-up: the welcome mail, the analytics record, the CRM record.

Called by `tasks`; pure. Every delivery names its event (`X-Event-Id`), so a receiver can recognise one that
comes twice: a message whose process died while it ran is run again.
"""

from __future__ import annotations

from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any, Final

from examples.signup.event import Event

EVENT_ID_HEADER: Final = "X-Event-Id"
SENDER: Final = Address("Example", "welcome", "example.com")

# Greeting and subject by language; English for every other.
_GREETINGS: Final = {
    "ar": "مرحبا",
    "de": "Willkommen",
    "el": "Καλώς ήρθατε",
    "en": "Welcome",
    "es": "Te damos la bienvenida",
    "fr": "Bienvenue",
    "he": "ברוך הבא",
    "hi": "स्वागत है",
    "ja": "ようこそ",
    "ko": "환영합니다",
    "pl": "Witamy",
    "pt": "Boas-vindas",
    "th": "ยินดีต้อนรับ",
    "tr": "Hoş geldiniz",
    "uk": "Ласкаво просимо",
    "zh": "欢迎",
}


def greeting(locale: str) -> str:
    """The word of welcome in the language of a locale such as `de-AT`."""
    return _GREETINGS.get(locale.split("-")[0], _GREETINGS["en"])


def welcome_email(event: Event, agent: str) -> EmailMessage:
    """The mail to a new user.

    Args:
        event: One that `problem_with` found good.
        agent: Who sends it, for the mail's X-Mailer.

    The Message-ID is made of the event's id: the same mail sent twice is recognisable as one.
    """
    hello = greeting(str(event.get("locale", "en")))
    mail = EmailMessage()
    mail["From"] = SENDER
    user, _, domain = event["email"].rpartition("@")
    mail["To"] = Address(event["name"], user, domain)
    mail["Subject"] = f"{hello}, {event['name']}!"
    mail["Message-ID"] = f"<{event['event_id']}@signup.example.com>"
    mail[EVENT_ID_HEADER] = event["event_id"]
    mail["X-Mailer"] = agent
    mail.set_content(
        f"{hello}, {event['name']}!\n\n"
        f"Your account is ready. Plan: {event.get('plan', 'free')}\n"
        "Sign in at https://app.example.com/\n",
        cte="quoted-printable",  # so that a server without 8BITMIME takes it too
    )
    return mail


def analytics_record(event: Event) -> dict[str, Any]:
    """What analytics counts: where the user came from, nothing that names a person."""
    return {
        "event": "user_signup",
        "event_id": event["event_id"],
        "user_id": event.get("user_id"),
        "plan": event.get("plan", "free"),
        "source": event.get("source", "direct"),
        "utm": event.get("utm"),
        "referrer": event.get("referrer"),
        "locale": event.get("locale"),
        "at": event.get("signed_up_at"),
    }


def crm_record(event: Event) -> dict[str, Any]:
    """What sales needs: who it is and which plan."""
    return {
        "event_id": event["event_id"],
        "user_id": event.get("user_id"),
        "email": event["email"],
        "name": event["name"],
        "company": event.get("company"),
        "plan": event.get("plan", "free"),
    }
