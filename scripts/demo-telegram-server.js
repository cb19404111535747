// A Bot API server of others (npm telegram-test-api) for `scripts/demo-llm --telegram`. Environment: BOT_PORT, MODULE.
// Methods that the package does not know are answered as done: it is the receiving end that is looked at.
const { BOT_PORT, MODULE } = process.env;
const botRoutes = require(`${MODULE}/routes/bot/index.js`).botRoutes;
const { routes } = require(`${MODULE}/routes/index.js`);
const { unknownMethod } = require(`${MODULE}/routes/bot/unknownMethod.js`);
const done = (app) => app.all('/bot:token/:method', (_request, response) => response.json({ ok: true, result: true }));
for (const list of [botRoutes, routes]) {
  const at = list.indexOf(unknownMethod);
  if (at >= 0) list[at] = done;
}
const module_ = require(MODULE);
const Server = module_.TelegramServer || module_.default || module_;
new Server({ port: Number(BOT_PORT), host: '127.0.0.1', storage: 'RAM', storeTimeout: 3600 })
  .start()
  .then(() => console.log('listening'));
