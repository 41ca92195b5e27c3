# A worker: the same build with the TensorFlow runtime installed into it. RUNTIME is cpu or cuda.
FROM node:24-bookworm AS build
ARG RUNTIME=cpu
WORKDIR /app
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-pip g++ && rm -rf /var/lib/apt/lists/*
COPY . .
RUN npm ci --ignore-scripts
RUN npm run build
ENV XDG_CACHE_HOME=/opt/moraine
RUN node apps/cli/bin/moraine.mjs setup --${RUNTIME}

FROM node:24-bookworm-slim
WORKDIR /app
# Code that a model writes is scored in a sandbox of these two.
RUN apt-get update && apt-get install -y --no-install-recommends bubblewrap python3 && rm -rf /var/lib/apt/lists/*
ENV NODE_ENV=production
COPY --from=build /opt/moraine /opt/moraine
COPY --from=build /app /app
RUN mkdir -p /data/blobs && chown -R node:node /data
USER node
CMD ["node", "apps/worker/dist/main.js"]
