// The calls of README.md as an application in TypeScript makes them: node client.js http://127.0.0.1:8000
import { randomUUID } from "node:crypto";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const client = createClient<paths>({ baseUrl: process.argv[2]! });

function check(holds: boolean, what: unknown): asserts holds {
  if (!holds) throw new Error(JSON.stringify(what));
}

const email = `${randomUUID()}@example.com`;
const key = { "Idempotency-Key": randomUUID() };
const body = { lookup_key: "pro_monthly", email, payment_method_id: "pm_card_visa" };
const created = await client.POST("/api/v1/payments/create-subscription", { params: { header: key }, body });
check(created.data?.status === "active", created.error);

const replayed = await client.POST("/api/v1/payments/create-subscription", { params: { header: key }, body });
check(replayed.data?.id === created.data.id, replayed.error);
check(replayed.response.headers.get("Idempotent-Replayed") === "true", "not replayed");

const again = await client.POST("/api/v1/payments/create-subscription", { body });
check(again.error?.code === "subscription_exists", again);

const path = { subscription_id: created.data.id };
const read = await client.GET("/api/v1/subscriptions/{subscription_id}", { params: { path } });
check(read.data?.status === "active", read.error);
const quantity: number | null = read.data.quantity;
check(quantity === 1, read.data);

const query = { customer_id: created.data.customer_id, "created[gte]": "2020-01-01T00:00:00Z", status: "active" } as const;
const listed = await client.GET("/api/v1/subscriptions", { params: { query } });
check(listed.data?.data.length === 1 && !listed.data.has_more, listed.error);

const cancelled = await client.POST("/api/v1/subscriptions/{subscription_id}/cancel", { params: { path } });
check(cancelled.data?.cancel_at_period_end === true, cancelled.error);

const unknown = await client.GET("/api/v1/subscriptions/{subscription_id}", {
  params: { path: { subscription_id: "lps_none" } },
});
check(unknown.error?.code === "not_found" && unknown.error.status === 404, unknown.error);

// What the compiler must refuse: each of these lines is an error of its own, or tsc fails.
type Subscription = components["schemas"]["SubscriptionView"];
// @ts-expect-error a status that does not exist
export const misspelt = (subscription: Subscription): boolean => subscription.status === "actve";
// @ts-expect-error a code that does not exist
export const noCode = (problem: components["schemas"]["Problem"]): boolean => problem.code === "no_such_code";
// @ts-expect-error a status that cannot be asked for
export const noStatus = () => client.GET("/api/v1/subscriptions", { params: { query: { status: "actve" } } });
