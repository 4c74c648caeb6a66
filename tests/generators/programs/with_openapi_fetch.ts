// A user of openapi-fetch with the types that openapi-typescript generates: BASE_URL, KEY.
import createClient from "openapi-fetch";
import type { components, paths } from "./generated/openapi-typescript";

type Finished = components["schemas"]["FinishedTask"];

const [baseUrl, key] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });

function submit(url: string) {
  return client.POST("/generateTask/image-upscaler", { body: { input: { image_urls: [url] } } });
}

async function finished(url: string): Promise<Finished> {
  const accepted = await submit(url);
  if (accepted.error) throw new Error(accepted.error.message);
  const query = { taskId: accepted.data.data.taskId };
  for (;;) {
    const { data, error } = await client.GET("/statusTask/image-upscaler", { params: { query } });
    if (error) throw new Error(error.message);
    const task = data.data;
    if (task.state === "success" || task.state === "failed") return task;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function main() {
  const done = await finished("https://example.com/input.jpg");
  const failed = await finished("https://example.com/emulate/SensitiveContent.jpg");
  if (done.state !== "success" || typeof done.costTime !== "number") throw new Error("no success");
  if (failed.state !== "failed") throw new Error("no failure");
  const refused = await submit("");
  console.log(
    JSON.stringify({
      results: JSON.parse(done.resultJson).resultUrls.length,
      failCode: failed.failCode,
      refused: [refused.response.status, refused.error?.message],
    }),
  );
}

void main();
