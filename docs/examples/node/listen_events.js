// Print every event of a durable queue, also those that were published while this program was down.
// AMQP_URL=amqp://… node listen_events.js billing.events 'transaction.ended.*' 'transaction.started.*'
"use strict";
const amqp = require("amqplib");

const QUEUE = {
  "x-queue-type": "quorum",
  "x-delivery-limit": 1_000_000_000, // RabbitMQ 4 drops unasked what was delivered 20 times without an ack
  "x-max-length-bytes": 1024 ** 3, // when it is full the oldest go (the default, drop-head): never reject-publish
};

// Runs until the connection breaks; whoever started it starts it again, and the queue keeps what comes meanwhile.
async function main(name, ...keys) {
  const seen = new Set(); // a service keeps these in its database, in the transaction of what it does with the event
  const last = new Map();
  const connection = await amqp.connect(process.env.AMQP_URL);
  const lost = new Promise((_, reject) => {
    connection.on("error", () => reject(new Error("connection lost")));
    connection.on("close", () => reject(new Error("connection lost")));
  });
  const channel = await connection.createChannel();
  await channel.prefetch(100);
  await channel.assertQueue(name, { durable: true, arguments: QUEUE });
  for (const key of keys.length ? keys : ["#"]) await channel.bindQueue(name, "ocpp.events", key);

  const onEvent = (message) => {
    if (message === null) return connection.close(); // the queue was deleted
    const event = JSON.parse(message.content.toString());
    if (!seen.has(event.event_id)) { // each comes at least once
      const expected = (last.get(event.identity) ?? event.seq - 1) + 1;
      if (!keys.length && event.seq > expected) // only who is bound to all events of it sees every number
        console.error(`missed ${expected} to ${event.seq - 1} of ${event.identity}`);
      console.log(JSON.stringify(event));
      seen.add(event.event_id);
      last.set(event.identity, Math.max(event.seq, expected - 1));
    }
    return channel.ack(message); // only now: until then the broker keeps it
  };
  await channel.consume(name, onEvent);
  console.error(`listening on ${name}`);
  await lost;
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(error.message);
  process.exit(1);
});
