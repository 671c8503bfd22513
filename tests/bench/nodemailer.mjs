// Process, a peer: nodemailer's pooled transport, composing each mail from HTML and text.
//
//     node tests/bench/nodemailer.mjs PORT SAMPLE.json
//
// The same words and values as ours, which are given ready to this peer. Prints one JSON object.

import { readFileSync } from "node:fs";
import nodemailer from "nodemailer";

const [port, samplePath] = process.argv.slice(2);
const { mail, tags, readers } = JSON.parse(readFileSync(samplePath, "utf8"));

const transport = nodemailer.createTransport({
  host: "127.0.0.1",
  port: Number(port),
  pool: true,
  maxConnections: 4,
  maxMessages: Infinity,
  ignoreTLS: true,
});

const compose = (reader) => ({
  from: { name: mail.from_name, address: mail.from },
  to: { name: reader.name, address: reader.address },
  subject: mail.subject,
  messageId: `<${reader.id}@example.com>`,
  headers: {
    "X-Notifier-Delivery-Id": reader.id,
    "List-Unsubscribe": `<${reader.link}>`,
    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
  },
  text: mail.text.replace(tags.greeting_text, reader.greeting).replace(tags.link_text, reader.link),
  html: mail.html
    .replace(tags.greeting_html, reader.greeting_html)
    .replace(tags.link_html, reader.link),
});

const began = performance.now();
let next = 0;

// As its documents advise: hand over more whenever the pool is idle.
const work = async () => {
  while (next < readers.length) await transport.sendMail(compose(readers[next++]));
};
await Promise.all(Array.from({ length: 16 }, work));

console.log(JSON.stringify({ mails: readers.length, seconds: (performance.now() - began) / 1000 }));
transport.close();
