# The API with the dashboard, and the command line, with the TensorFlow runtime for the processor: a download that is not stored (base and adapter
# as one model, a LoRA of a rank) is made here when it is asked for.
FROM node:24-bookworm AS build
WORKDIR /app
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-pip g++ && rm -rf /var/lib/apt/lists/*
COPY . .
RUN npm ci --ignore-scripts
RUN npm run build
ENV XDG_CACHE_HOME=/opt/moraine
RUN node apps/cli/bin/moraine.mjs setup --cpu

FROM node:24-bookworm-slim
WORKDIR /app
ENV NODE_ENV=production
COPY --from=build /opt/moraine /opt/moraine
COPY --from=build /app /app
RUN mkdir -p /data/blobs && chown -R node:node /data
USER node
EXPOSE 7311
CMD ["node", "apps/api/dist/main.js"]
