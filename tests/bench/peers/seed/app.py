"""Arm S: the deployment guide's stack as somebody who knows it would write it.

FastAPI with pydantic, slowapi on Redis, SQLAlchemy's ORM on asyncpg, and Stripe's blocking client, which runs in the
thread pool so that it does not hold up the event loop. One uvicorn process with uvloop and httptools, like ours.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

import stripe
from fastapi import Depends, FastAPI, HTTPException, Request
from prometheus_client import Counter, Histogram
from pydantic import BaseModel, EmailStr, Field
from pydantic_settings import BaseSettings
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.util import get_remote_address
from sqlalchemy import JSON, DateTime, ForeignKey, String, func
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.concurrency import run_in_threadpool


class Settings(BaseSettings):
    database_url: str
    redis_url: str
    stripe_secret_key: str
    stripe_webhook_secret: str
    stripe_api_base: str


settings = Settings()
client = stripe.StripeClient(
    settings.stripe_secret_key, base_addresses={"api": settings.stripe_api_base}, max_network_retries=2
)
engine = create_async_engine(settings.database_url, pool_size=8, max_overflow=8)
sessions = async_sessionmaker(engine, expire_on_commit=False)
limiter = Limiter(key_func=get_remote_address, storage_uri=settings.redis_url)


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(320), index=True)
    stripe_customer_id: Mapped[str] = mapped_column(String(255), unique=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Subscription(Base):
    __tablename__ = "subscriptions"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"), index=True)
    stripe_subscription_id: Mapped[str] = mapped_column(String(255), unique=True)
    price_id: Mapped[str] = mapped_column(String(255))
    status: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Event(Base):
    __tablename__ = "events"
    id: Mapped[str] = mapped_column(String(255), primary_key=True)
    type: Mapped[str] = mapped_column(String(255), index=True)
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    processed: Mapped[bool] = mapped_column(default=False)
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class CreateSubscription(BaseModel):
    email: EmailStr
    name: str | None = Field(default=None, max_length=255)
    price_id: str = Field(pattern=r"^price_\w+$")
    payment_method_id: str = Field(pattern=r"^pm_\w+$")


class SubscriptionOut(BaseModel):
    id: int
    stripe_subscription_id: str
    status: str
    created_at: datetime


@asynccontextmanager
async def lifespan(_: FastAPI):
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


async def session():
    async with sessions() as opened:
        yield opened


Session = Annotated[AsyncSession, Depends(session)]
app = FastAPI(lifespan=lifespan)
requests = Counter("http_requests_total", "Requests", ["method", "path", "status"])
seconds = Histogram("http_request_duration_seconds", "Durations", ["method", "path"])
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
log = logging.getLogger("app")
app.state.limiter = limiter
app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)


@app.middleware("http")
async def observe(request: Request, call_next: Any) -> Any:
    """Do what the service does for every request: request id, metrics, one log line for API requests."""
    started = time.perf_counter()
    response = await call_next(request)
    elapsed = time.perf_counter() - started
    route = request.scope.get("route")
    path = route.path if route else "unmatched"
    requests.labels(request.method, path, response.status_code).inc()
    seconds.labels(request.method, path).observe(elapsed)
    response.headers["X-Request-ID"] = request.headers.get("X-Request-ID") or uuid.uuid4().hex
    if path.startswith("/api/"):
        log.info("%s %s %s %.2f ms", request.method, path, response.status_code, elapsed * 1000)
    return response


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "healthy"}


def at_stripe(body: CreateSubscription) -> tuple[str, Any]:
    customer = client.v1.customers.create(params={"email": body.email, "name": body.name or ""})
    method = client.v1.payment_methods.attach(body.payment_method_id, params={"customer": customer.id})
    subscription = client.v1.subscriptions.create(
        params={
            "customer": customer.id,
            "items": [{"price": body.price_id}],
            "default_payment_method": method.id,
            "expand": ["latest_invoice"],
        }
    )
    return customer.id, subscription


@app.post("/api/v1/payments/create-subscription", status_code=201)
@limiter.limit("1000000/minute")
async def create_subscription(request: Request, body: CreateSubscription, db: Session) -> SubscriptionOut:
    try:
        customer_id, made = await run_in_threadpool(at_stripe, body)
    except stripe.CardError as error:
        raise HTTPException(402, error.user_message) from error
    except stripe.StripeError as error:
        raise HTTPException(502, "Stripe refused") from error
    customer = Customer(email=body.email, stripe_customer_id=customer_id)
    db.add(customer)
    await db.flush()
    row = Subscription(
        customer_id=customer.id, stripe_subscription_id=made.id, price_id=body.price_id, status=made.status
    )
    db.add(row)
    await db.commit()
    return _out(row)


@app.get("/api/v1/subscriptions/{subscription_id}")
async def get_subscription(subscription_id: int, db: Session) -> SubscriptionOut:
    row = await db.get(Subscription, subscription_id)
    if row is None:
        raise HTTPException(404, "no such subscription")
    return _out(row)


@app.post("/api/v1/webhooks/stripe")
async def stripe_webhook(request: Request, db: Session) -> dict[str, bool]:
    payload = await request.body()
    try:
        event = stripe.Webhook.construct_event(
            payload, request.headers.get("stripe-signature"), settings.stripe_webhook_secret
        )
    except (ValueError, stripe.SignatureVerificationError) as error:
        raise HTTPException(400, "invalid signature") from error
    db.add(Event(id=event.id, type=event.type, payload=json.loads(payload)))
    try:
        await db.commit()
    except IntegrityError:
        await db.rollback()
    return {"received": True}


def _out(row: Subscription) -> SubscriptionOut:
    return SubscriptionOut(
        id=row.id,
        stripe_subscription_id=row.stripe_subscription_id,
        status=row.status,
        created_at=row.created_at,
    )
