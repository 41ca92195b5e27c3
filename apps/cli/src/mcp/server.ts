import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { explain } from '@moraine/contract';
import { version } from '../paths.js';
import { MODEL_TOOLS } from './models.js';
import { RUN_TOOLS } from './runs.js';
import { submitRun } from './submit.js';
import type { Context, Tool } from './tool.js';

export const TOOLS: readonly Tool[] = [...RUN_TOOLS, submitRun, ...MODEL_TOOLS];

const INSTRUCTIONS =
  'Moraine fine-tunes language models on this machine. submit_run, cancel_run and delete_run answer first what they would do and a string that confirms it: show that to the user, and call again with it only when the user agrees.';

/** Every tool over the Model Context Protocol. An error is an answer: its sentence and what to do. */
export function createMcpServer(context: Context): McpServer {
  const server = new McpServer({ name: 'moraine', version: version() }, { instructions: INSTRUCTIONS });
  for (const tool of TOOLS)
    server.registerTool(
      tool.name,
      {
        title: tool.title,
        description: tool.description,
        inputSchema: tool.input,
        annotations: {
          readOnlyHint: tool.effect === 'read',
          destructiveHint: tool.effect === 'destroy',
          openWorldHint: false,
        },
      },
      async (input: unknown, { signal }: { signal: AbortSignal }) => {
        try {
          return said(await tool.run(context, input as never, signal));
        } catch (error) {
          return { ...said(explain(error)), isError: true };
        }
      },
    );
  return server;
}

const said = (value: unknown) => ({
  content: [{ type: 'text' as const, text: typeof value === 'string' ? value : JSON.stringify(value, null, 2) }],
});
