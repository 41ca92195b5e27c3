# The API with the dashboard, and the command line. No TensorFlow, no Python.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY . .
RUN npm ci --ignore-scripts
RUN npm run build

FROM node:24-bookworm-slim
WORKDIR /app
ENV NODE_ENV=production
COPY --from=build /app /app
RUN mkdir -p /data/blobs && chown -R node:node /data
USER node
EXPOSE 7311
CMD ["node", "apps/api/dist/main.js"]
