// A user of the client that openapi-generator generates for TypeScript and fetch: BASE_URL, KEY.
import { Configuration, ResponseError, TasksApi, type FinishedTask } from "./generated/typescript-fetch";

const [basePath, accessToken] = process.argv.slice(2);
const api = new TasksApi(new Configuration({ basePath, accessToken }));

function submit(url: string) {
  return api.submit({ submitRequest: { input: { imageUrls: [url] } } });
}

async function finished(url: string): Promise<FinishedTask> {
  const taskId = (await submit(url)).data.taskId;
  for (;;) {
    const task = (await api.status({ taskId })).data;
    if (task.state === "success" || task.state === "failed") return task;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function main() {
  const done = await finished("https://example.com/input.jpg");
  const failed = await finished("https://example.com/emulate/SensitiveContent.jpg");
  if (done.state !== "success" || typeof done.costTime !== "number") throw new Error("no success");
  if (failed.state !== "failed") throw new Error("no failure");
  const refused = await submit("").catch((error: ResponseError) => error.response);
  if (!(refused instanceof Response)) throw new Error("accepted");
  const body = await refused.json();
  console.log(
    JSON.stringify({
      results: JSON.parse(done.resultJson).resultUrls.length,
      failCode: failed.failCode,
      refused: [refused.status, body.message],
    }),
  );
}

void main();
