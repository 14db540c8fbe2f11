# docker build -t kernelgan-jax .                                    # CPU
# docker build -t kernelgan-jax:cuda --build-arg EXTRAS=web,cuda .   # NVIDIA GPUs
# docker run --rm --user $(id -u) -v "$PWD:/data" kernelgan-jax photo.png
# docker run --rm --gpus=all --user $(id -u) -v "$PWD:/data" kernelgan-jax:cuda photo.png
# docker run --rm -p 127.0.0.1:7860:7860 kernelgan-jax web --host=0.0.0.0
FROM python:3.13-slim
ARG EXTRAS=web
COPY . /src
# JAX's wheels bring CUDA; the host needs NVIDIA's driver and container toolkit.
RUN pip install --no-cache-dir "/src[command,$EXTRAS]" && rm -rf /src \
    && useradd --create-home user && mkdir -m 777 /cache
USER user
ENV XDG_CACHE_HOME=/cache MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /data
ENTRYPOINT ["kernelgan-jax"]
