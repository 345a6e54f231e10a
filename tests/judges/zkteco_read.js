// Reads one terminal with zkteco-js or node-zklib, clients that nobody here wrote, and says what
// it saw as JSON. Arguments: package, host, port. The package is found through NODE_PATH.

'use strict';

const [name, host, port] = process.argv.slice(2);
// What the packages print of themselves is no answer.
const answer = process.stdout.write.bind(process.stdout);
console.log = console.error;
const Client = require(name);

async function main() {
  const client = new Client(host, Number(port), 10000, 4000);
  await client.createSocket();
  const users = await client.getUsers();
  const records = await client.getAttendances();
  await client.disconnect();
  const person = (record) => record.user_id ?? record.deviceUserId;
  answer(JSON.stringify({
    users: users.data.length,
    people: records.data.map((record) => String(person(record))),
  }));
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
