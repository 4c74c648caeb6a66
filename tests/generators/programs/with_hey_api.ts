// A user of the client that @hey-api/openapi-ts generates: BASE_URL, KEY.
import { client } from "./generated/hey-api/client.gen";
import { status, submit } from "./generated/hey-api/sdk.gen";
import type { FinishedTask } from "./generated/hey-api/types.gen";

const [baseUrl, key] = process.argv.slice(2);
client.setConfig({ baseUrl: baseUrl as never, auth: key });

async function finished(url: string): Promise<FinishedTask> {
  const accepted = await submit({ body: { input: { image_urls: [url] } }, throwOnError: true });
  const query = { taskId: accepted.data.data.taskId };
  for (;;) {
    const answer = await status({ query, throwOnError: true });
    const task = answer.data.data;
    if (task.state === "success" || task.state === "failed") return task;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function main() {
  const done = await finished("https://example.com/input.jpg");
  const failed = await finished("https://example.com/emulate/SensitiveContent.jpg");
  if (done.state !== "success" || typeof done.costTime !== "number") throw new Error("no success");
  if (failed.state !== "failed") throw new Error("no failure");
  const refused = await submit({ body: { input: { image_urls: [""] } } });
  console.log(
    JSON.stringify({
      results: JSON.parse(done.resultJson).resultUrls.length,
      failCode: failed.failCode,
      refused: [refused.response?.status, refused.error?.message],
    }),
  );
}

void main();
