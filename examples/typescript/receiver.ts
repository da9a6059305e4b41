// Receives webhooks of Lean Payments: each is verified, handled once and answered fast.
//
// Once, because the note that a `webhook-id` was handled and the effect of its event are one transaction: whatever
// comes again after that finds the note, and what a crash interrupted left neither.
import { createServer, type IncomingMessage } from "node:http";
import pg from "pg";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

interface Event {
  id: string;
  type: string;
  data: { object: Record<string, unknown> | null };
}

const { WEBHOOK_SECRET = "", DATABASE_URL, PORT = "3000" } = process.env;
const MOST_BYTES = 1_000_000;
const webhook = new Webhook(WEBHOOK_SECRET);
const pool = new pg.Pool({ connectionString: DATABASE_URL, connectionTimeoutMillis: 5_000, statement_timeout: 10_000 });

/** Handle an event, unless it was handled before. */
async function handle(webhookId: string, event: Event): Promise<void> {
  const client = await pool.connect();
  let failed = true;
  try {
    await client.query("BEGIN");
    const note = "INSERT INTO handled_webhooks (id) VALUES ($1) ON CONFLICT DO NOTHING";
    if ((await client.query(note, [webhookId])).rowCount) await apply(client, event);
    await client.query("COMMIT");
    failed = false;
  } finally {
    client.release(failed); // a connection that failed is closed, which takes everything back
  }
}

/** Do what an event means to this application. What takes longer is only noted here, and done by a worker. */
async function apply(client: pg.PoolClient, event: Event): Promise<void> {
  if (event.type === "invoice.paid") {
    await client.query(
      "INSERT INTO credits (customer, months) VALUES ($1, 1) ON CONFLICT (customer) DO UPDATE SET months = credits.months + 1",
      [event.data.object?.["stripe_customer_id"]],
    );
  }
}

/** Return the very bytes that were signed; null: there are too many. */
async function read(request: IncomingMessage): Promise<Buffer | null> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of request) {
    length += part.length;
    if (length > MOST_BYTES) return null;
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** Return 204 when an event is handled, or was before; anything else has it sent again later. */
async function receive(request: IncomingMessage): Promise<number> {
  const body = await read(request);
  if (body === null) return 413;
  let event: Event;
  try {
    event = webhook.verify(body, request.headers as Record<string, string>) as Event;
  } catch (error) {
    if (error instanceof WebhookVerificationError) return 400;
    throw error;
  }
  await handle(request.headers["webhook-id"] as string, event);
  return 204;
}

await pool.query(`
  CREATE TABLE IF NOT EXISTS handled_webhooks (id text PRIMARY KEY, at timestamptz DEFAULT now());
  CREATE TABLE IF NOT EXISTS credits (customer text PRIMARY KEY, months integer NOT NULL);
`);
createServer((request, response) => {
  receive(request)
    .catch((error: unknown) => {
      console.error(error);
      return 500;
    })
    .then((status) => response.writeHead(status).end());
}).listen(Number(PORT), "127.0.0.1");
